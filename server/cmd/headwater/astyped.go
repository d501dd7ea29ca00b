package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/headwater-git/headwater/core"
)

// typedMark is the annotation of a flag that was given on the command line, not by the
// environment or a file, which hold for the next command, too.
const typedMark = "headwater_typed"

// markTyped notes which flags were given on the command line. Call it before any is set
// from elsewhere.
func markTyped(cmd *cobra.Command) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Annotations == nil {
			f.Annotations = map[string][]string{}
		}
		f.Annotations[typedMark] = nil
	})
}

// repeated are the flags by which a command finds the server and who asks: where one was
// typed, the next command needs it just so.
var repeated = [...]string{"data", "server", "org", "key", "ca-file"}

// asTyped returns a text in which each command of headwater that it quotes has the flags
// that were typed for this one, as far as it takes them and does not have them yet. They
// go before its arguments, since only the start of a command can be known in a sentence.
func asTyped(cmd *cobra.Command, text string) string {
	if cmd == nil || !strings.Contains(text, quoted) {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = lineAsTyped(cmd, line)
	}
	return strings.Join(lines, "\n")
}

// quoted begins a command in a text.
const quoted = "headwater "

func lineAsTyped(cmd *cobra.Command, line string) string {
	at := strings.LastIndex(line, quoted)
	if at < 0 {
		return line
	}
	before, after := line[:at], line[at+len(quoted):]
	if before == "" || strings.ContainsRune(" (`\t", rune(before[len(before)-1])) { // not the end of a path
		after = withTyped(cmd, after)
	}
	return lineAsTyped(cmd, before) + quoted + after
}

// withTyped adds the flags after the name of the command that a text begins with.
func withTyped(cmd *cobra.Command, text string) string {
	quote, rest := cmd.Root(), text
	for {
		word, more, _ := strings.Cut(rest, " ")
		name := strings.TrimRight(word, ",;:.)`")
		next := childOf(quote, name)
		if next == nil {
			break
		}
		quote, rest = next, word[len(name):]
		if name != word {
			rest = strings.TrimSuffix(rest+" "+more, " ")
			break // punctuation ends the command
		}
		rest = more
		if more == "" {
			break
		}
	}
	// What is restored goes into another folder.
	if !quote.HasParent() || quote.Name() == "restore" && quote.Parent() == cmd.Root() {
		return text
	}
	var flags strings.Builder
	for _, name := range repeated {
		f := cmd.Flags().Lookup(name)
		if f == nil || quote.Flags().Lookup(name) == nil || strings.Contains(rest, "--"+name+" ") {
			continue
		}
		if _, typed := f.Annotations[typedMark]; typed {
			flags.WriteString(" --" + name + " " + core.ShellWord(f.Value.String()))
		}
	}
	name := strings.TrimPrefix(quote.CommandPath(), quoted)
	return name + flags.String() + text[len(name):]
}

// childOf returns the subcommand of that name, nil if there is none.
func childOf(cmd *cobra.Command, name string) *cobra.Command {
	for _, sub := range cmd.Commands() {
		if sub.Name() == name {
			return sub
		}
	}
	return nil
}
