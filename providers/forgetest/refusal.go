package forgetest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Refusal is a rule by which a forge refuses updates of refs.
type Refusal struct {
	// Pattern is a full ref name, or a prefix and one "*" at the end.
	Pattern string
	// Reason is the status of the ref in the report, the text in git's
	// "[remote rejected] main -> main (...)". Unused with WholePush.
	Reason string
	// Message are the lines that the client prints after "remote: ".
	Message []string
	// DeletesOnly leaves creations and updates alone.
	DeletesOnly bool
	// WholePush refuses every ref of a push that touches the pattern, with
	// "pre-receive hook declined", as hosts with a pre-receive hook do.
	WholePush bool

	// words, if set, fill in Reason, Message and WholePush by the host.
	words func(ref string, deletes bool) Refusal
}

// Protect refuses every update of the refs that match pattern, in the words
// that the host has for a protected branch.
func (f *Forge) Protect(repo, pattern string) error {
	return f.Refuse(repo, Refusal{Pattern: pattern, words: f.rules.protected})
}

// ProtectFromDeletion is [Forge.Protect] for deletions only.
func (f *Forge) ProtectFromDeletion(repo, pattern string) error {
	return f.Refuse(repo, Refusal{Pattern: pattern, DeletesOnly: true, words: f.rules.protected})
}

// Refuse adds a rule to a repository. The first rule that matches decides.
func (f *Forge) Refuse(repo string, r Refusal) error {
	_, err := f.change(repo, func(fr *forgeRepo) {
		fr.refusals = append(fr.refusals, r)
	})
	return err
}

// Unprotect removes every rule of a repository.
func (f *Forge) Unprotect(repo string) error {
	_, err := f.change(repo, func(fr *forgeRepo) { fr.refusals = nil })
	return err
}

// of returns the refusal of one update, and whether the rule refuses it.
func (r Refusal) of(u RefUpdate) (Refusal, bool) {
	if prefix, glob := strings.CutSuffix(r.Pattern, "*"); glob {
		if !strings.HasPrefix(u.Name, prefix) {
			return Refusal{}, false
		}
	} else if r.Pattern != u.Name {
		return Refusal{}, false
	}
	if r.DeletesOnly && !u.Deletes() {
		return Refusal{}, false
	}
	if r.words != nil {
		return r.words(u.Name, u.Deletes()), true
	}
	return r, true
}

// The git hooks of a forge print what was decided before git was started:
// the forge has read the commands of the push by then. The decision is passed in a
// folder that FORGE_DECISION names.
//
// A status of a single ref, like GitHub's "protected branch hook declined",
// can only come from a proc-receive hook.
const (
	preReceiveHook = `#!/bin/sh
cat >/dev/null
test -f "$FORGE_DECISION/declined" || exit 0
cat "$FORGE_DECISION/declined" >&2
exit 1
`
	procReceiveHook = `#!/bin/sh
cat "$FORGE_DECISION/messages" >&2
cat "$FORGE_DECISION/report"
# Git reads the report before it closes our input.
exec cat >/dev/null
`
)

func writeHooks(folder string) error {
	for name, script := range map[string]string{"pre-receive": preReceiveHook, "proc-receive": procReceiveHook} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o755); err != nil {
			return fmt.Errorf("write git hook: %w", err)
		}
	}
	return nil
}

// decision is what the rules say about one push.
type decision struct {
	declined *Refusal          // the whole push
	refs     map[string]string // refused ref -> reason
	messages []string
}

// decide returns the decision of the rules about the updates of one push.
func decide(rules []Refusal, updates []RefUpdate) decision {
	d := decision{refs: map[string]string{}}
	for _, u := range updates {
		for _, rule := range rules {
			refusal, refused := rule.of(u)
			if !refused {
				continue
			}
			if refusal.WholePush {
				return decision{declined: &refusal}
			}
			d.refs[u.Name] = refusal.Reason
			d.messages = append(d.messages, refusal.Message...)
			break
		}
	}
	return d
}

// write writes the decision for the git hooks, which lie in another folder, and returns
// the configuration that makes git ask them.
func (d decision) write(folder, hooks string, updates []RefUpdate) ([]configPair, error) {
	config := []configPair{{"core.hooksPath", hooks}}
	if d.declined != nil {
		return config, writeLines(filepath.Join(folder, "declined"), d.declined.Message)
	}
	if len(d.refs) == 0 {
		// A test of hosts with AGit puts its own proc-receive there.
		if slices.ContainsFunc(updates, func(u RefUpdate) bool { return strings.HasPrefix(u.Name, "refs/for/") }) {
			return config, nil
		}
		return nil, nil
	}
	report := bytes.NewBufferString(pktLine("version=1\n") + "0000")
	for _, u := range updates {
		if reason, refused := d.refs[u.Name]; refused {
			config = append(config, configPair{"receive.procReceiveRefs", u.Name})
			report.WriteString(pktLine("ng " + u.Name + " " + reason))
			continue
		}
		// Git sends the hook everything below a named ref, too; those are
		// not ours to decide.
		for name := range d.refs {
			if strings.HasPrefix(u.Name, name+"/") {
				report.WriteString(pktLine("ok "+u.Name) + pktLine("option fall-through"))
				break
			}
		}
	}
	report.WriteString("0000")
	if err := os.WriteFile(filepath.Join(folder, "report"), report.Bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("write decision: %w", err)
	}
	return config, writeLines(filepath.Join(folder, "messages"), d.messages)
}

func writeLines(path string, lines []string) error {
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line + "\n")
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write decision: %w", err)
	}
	return nil
}
