package core

import (
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValidateRepositoryName_table(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		repo  string
		fault string // "": valid
	}{
		{"plain", "project", ""},
		{"grouped", "team/sub-group/project.v2_x", ""},
		{"uuid", "3f0c1f4e-5c1b-4c0e-9a53-0a6c9e1f5a11", ""},
		{"api is fine later", "team/api", ""},
		{"org is fine as a part", "org/project", ""},
		{"api as a prefix of a part", "apiserver", ""},
		{"words of the routes", "git-credentials", ""},
		{"leading dot", ".github", ""},
		{"longest", strings.Repeat("a", 255), ""},
		{"internal prefix with another form", "repo_mine", ""},
		{"punctuation", `a b@c:d|e+f#g~h!i$j&k'l(m)n*o,p;q=r?s[t]u"v<w>x^y` + "`{z}", ""},
		{"percent", "a%2Fb", ""},
		{"plus sign", "c++", ""},
		{"suffix of a remote in the middle", "a+ephemeral/b+imports", ""},
		{"letters of other scripts", "caf\u00e9/\u65e5\u672c\u8a9e/\u0646\u0645\u0648\u0646\u0647\u200c\u0647\u0627/\U0001f600", ""},
		{"dot dot within a part", "a..b", ""},
		{"leading dash", "-rf/-b", ""},
		{"longest in bytes", strings.Repeat("\u00e9", 127), ""},

		{"empty", "", "empty"},
		{"too long", strings.Repeat("a", 256), "longer than 255"},
		{"org", "org", "reserved"},
		{"ephemeral suffix", "a+ephemeral", "reserved"},
		{"import suffix", "a/b+import", "reserved"},
		{"dot dot", "a/../b", `".."`},
		{"dot", "a/./b", `"."`},
		{"leading slash", "/a", "empty"},
		{"trailing slash", "a/", "empty"},
		{"double slash", "a//b", "empty"},
		{"git suffix", "a.git", `".git"`},
		{"git suffix in an earlier part", "a.git/b", `".git"`},
		{"api alone", "api", "api"},
		{"below api", "api/v1", "api"},
		{"below webhooks", "webhooks/a", "webhooks"},
		{"newline at the end", "a\n", "control"},
		{"NUL", "a\x00b", "control"},
		{"delete", "a\x7f", "control"},
		{"right to left override", "a\u202eb", "invisible"},
		{"line separator", "a\u2028b", "invisible"},
		{"not UTF-8", "a\xff", "UTF-8"},
		{"internal id", "repo_01hzx3y4q5r6s7t8v9w0x1y2z3", "internal id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := ValidateRepositoryName(tt.repo)
			if tt.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.fault)
			require.Equal(t, KindInvalid, KindOf(err))
		})
	}
}

// TestRemotePath_asGitGivesItToHelpers has git take addresses apart for a credential
// helper: what it says is the name, of whatever characters that is.
func TestRemotePath_asGitGivesItToHelpers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"team/app", " a @b:c|d#e%2Ff+g/日本 語.é ", "a%3Ab:c", "-n", `q?"u'o\te;s=`, "$(reboot)&;!*[x]{y}`^<>#", strings.Repeat("é", 127)} {
		require.NoError(t, ValidateRepositoryName(name))
		parsed, err := url.Parse("http://git.example.com/" + RemotePath(name))
		require.NoError(t, err)
		require.Equal(t, "/"+name+".git", parsed.Path)
		pasted := strings.ReplaceAll(RemotePath(name), "%", "+") // which shells leave alone, too
		require.Equal(t, pasted, ShellWord(pasted))
		cmd := exec.CommandContext(t.Context(), "git", "-c", "credential.useHttpPath=true", "-c", "credential.helper=", "-c", "credential.helper=!f() { cat >&2; echo quit=1; }; f", "credential", "fill")
		cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
		cmd.Stdin = strings.NewReader("url=" + parsed.String() + "\n\n")
		var asked strings.Builder
		cmd.Stderr = &asked
		require.Error(t, cmd.Run(), "the helper ends it")
		require.Contains(t, asked.String(), "\npath="+name+".git\n")
	}
}

func TestValidateRepositoryName_refusesEveryID(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, ValidateRepositoryName(NewID("repo", SystemClock{}.Now())), "internal id")
}

func TestValidate_longNamesOfRefs(t *testing.T) {
	t.Parallel()
	part := strings.Repeat("x", 245)
	require.NoError(t, ValidateBranchName(part))
	require.NoError(t, ValidateRefName("refs/tags/"+part+"/"+part))
	for _, name := range []string{part + "x", "a/" + part + "x/b", strings.Repeat(part+"/", 9) + "x"} {
		require.Equal(t, KindInvalid, KindOf(ValidateBranchName(name)))
		require.Equal(t, KindInvalid, KindOf(ValidateRefName("refs/tags/"+name)))
		require.True(t, RefNameWellFormed("refs/tags/"+name), "a host may have it")
	}
}

func TestFirstBranch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		configured string
		branches   []string
		want       string
	}{
		{"main", nil, ""},
		{"main", []string{"dev"}, "dev"},
		{"trunk", []string{"main", "trunk", "a"}, "trunk"},
		{"trunk", []string{"master", "a", "main"}, "main"},
		{"trunk", []string{"z", "master", "a"}, "master"},
		{"trunk", []string{"b", "a", "B"}, "B"},
	} {
		require.Equal(t, tt.want, FirstBranch(tt.configured, tt.branches))
	}
}

// refNames are the seeds of both fuzz tests and, by being seeds, table tests
// against the real git.
var refNames = []string{
	"", "@", "HEAD", "main", "refs/heads/main", "refs/heads/@", "refs/heads/a@b", "heads/x", "refs/tags/v1.0", "refs/heads/feature/a/b",
	"/refs/heads/a", "refs/heads/a/", "refs//a", "refs/heads/a.", "refs/heads/a.lock", "refs/heads/a.lock/b", "refs/heads/.a", "refs/.a/b",
	"refs/heads/a..b", "refs/heads/a@{b", "refs/heads/a b", "refs/heads/a~", "refs/heads/^", "refs/heads/a:b", "refs/heads/?", "refs/heads/*",
	"refs/heads/[", `refs/heads/a\b`, "refs/heads/\x7f", "refs/heads/\t", "refs/heads/caf\u00e9", "refs/heads/\xff", "-x", "a/-b", "--branch", "@{-1}", ".", "..",
	"a.lock", "a.lockb", "lock", ".lock", "x/@", "refs/heads/HEAD", "/", "//", "a/.", "@/a",
}

func FuzzValidateRefName_agreesWithGit(f *testing.F) {
	for _, name := range refNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if strings.ContainsRune(name, 0) {
			require.Error(t, ValidateRefName(name)) // an argument cannot hold NUL
			return
		}
		require.Equal(t, checkRefFormat(t, name), ValidateRefName(name) == nil, "%q", name)
	})
}

func FuzzValidateBranchName_agreesWithGit(f *testing.F) {
	for _, name := range refNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if strings.ContainsRune(name, 0) {
			require.Error(t, ValidateBranchName(name))
			return
		}
		require.Equal(t, checkRefFormat(t, "--branch", name), ValidateBranchName(name) == nil, "%q", name)
	})
}

// checkRefFormat asks git check-ref-format(1).
func checkRefFormat(t *testing.T, args ...string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"check-ref-format"}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_CEILING_DIRECTORIES=/"}
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		require.NoError(t, err)
	}
	return err == nil
}

func TestMaybeObjectID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": false, "abc": false, "abcd": true, "ABCD12": true, "abcg": false, "abcd ": false, " abcd": false, "ab-cd": false, "main": false,
		strings.Repeat("0", 40): true, strings.Repeat("f", 64): true, strings.Repeat("f", 65): false, "abcd\n": false,
	} {
		require.Equal(t, want, MaybeObjectID(text), "%q", text)
	}
}

func TestValidateUpstreamRef(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"refs/pull/1/head", "a..b", "refs/internal/x", "-x y", "refs/heads", ""} {
		require.Equal(t, KindInvalid, KindOf(ValidateUpstreamRef(ref)), ref)
	}
	for _, ref := range []string{"main", "a/b", "refs/heads/main", "refs/tags/v1"} {
		require.NoError(t, ValidateUpstreamRef(ref))
	}
}
