package content

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestService_Branches(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, format)
			none, next, err := f.Branches(t.Context(), f.repo, core.Default, RefsPage{Limit: 20})
			require.NoError(t, err)
			require.Empty(t, none)
			require.Empty(t, next)
			id := f.commit("one")
			for _, name := range []string{"Z", "a", "a-b", "a-/b", "a0", "main", "\u00fc"} {
				f.run("update-ref", "refs/heads/"+name, string(id))
			}
			f.run("pack-refs", "--all")
			f.run("update-ref", "refs/heads/b", string(id))
			f.run("update-ref", "refs/namespaces/ephemeral/refs/heads/e1", string(id))
			f.run("update-ref", "refs/namespaces/ephemeral/refs/heads/e2", string(id))
			want := strings.Split(f.run("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"), "\n")
			for _, limit := range []int{1, 2, 20} {
				var got []string
				p := RefsPage{Limit: limit}
				for {
					branches, next, err := f.Branches(t.Context(), f.repo, core.Default, p)
					require.NoError(t, err)
					for _, b := range branches {
						got = append(got, b.Name)
						require.Equal(t, id, b.Head)
						require.EqualValues(t, 1700000100, b.CreatedAt.Unix())
					}
					if next == "" {
						break
					}
					require.Equal(t, branches[len(branches)-1].Cursor, next)
					p.Cursor = next
				}
				require.Equal(t, want, got)
			}
			ephemeral, _, err := f.Branches(t.Context(), f.repo, core.Ephemeral, RefsPage{Limit: 20})
			require.NoError(t, err)
			require.Len(t, ephemeral, 2)
			require.Equal(t, "e1", ephemeral[0].Name)

			b, err := f.Branch(t.Context(), f.repo, core.Default, "a-/b")
			require.NoError(t, err)
			require.Equal(t, id, b.Head)
			_, err = f.Branch(t.Context(), f.repo, core.Ephemeral, "main")
			require.Equal(t, core.KindNotFound, core.KindOf(err))
			_, err = f.Branch(t.Context(), f.repo, core.Default, "a..b")
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			_, _, err = f.Branches(t.Context(), f.repo, core.Default, RefsPage{Limit: 1, Cursor: "x"})
			require.Equal(t, core.KindInvalid, core.KindOf(err))
		})
	}
}

func TestService_Tags(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	id := f.commit("one", "a", "x")
	f.run("tag", "v1")
	f.run("tag", "--annotate", "--message=m", "v2")
	f.run("tag", "--annotate", "--message=m", "v3", "v2")
	blob := f.run("rev-parse", "main:a")
	f.run("tag", "blob", blob)
	var got []string
	p := RefsPage{Limit: 1}
	for {
		tags, next, err := f.Tags(t.Context(), f.repo, p)
		require.NoError(t, err)
		for _, tag := range tags {
			got = append(got, tag.Name+" "+string(tag.Target))
		}
		if p.Cursor = next; next == "" {
			break
		}
	}
	require.Equal(t, []string{"blob " + blob, "v1 " + string(id), "v2 " + string(id), "v3 " + string(id)}, got)
	tag, err := f.Tag(t.Context(), f.repo, "v3")
	require.NoError(t, err)
	require.Equal(t, id, tag.Target)
	_, err = f.Tag(t.Context(), f.repo, "main")
	require.Equal(t, core.KindNotFound, core.KindOf(err))
	_, err = f.Tag(t.Context(), f.repo, "a b")
	require.Equal(t, core.KindInvalid, core.KindOf(err))
}

func TestService_Note(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, format)
			id := f.commit("one", "a", "x")
			f.run("notes", "add", "--message=hello", string(id))
			f.run("notes", "--ref=reviews", "add", "--message=good", string(id))
			for _, tt := range []struct{ object, ref, want string }{
				{string(id), "", "hello\n"}, {"main", "commits", "hello\n"}, {string(id[:10]), "refs/notes/commits", "hello\n"},
				{string(id), "reviews", "good\n"}, {string(id), "notes/reviews", "good\n"},
			} {
				n, err := f.Note(t.Context(), f.repo, tt.object, tt.ref)
				require.NoError(t, err)
				require.Equal(t, id, n.Object)
				require.Equal(t, tt.want, n.Text)
			}
			for _, tt := range []struct {
				object, ref string
				want        core.Kind
			}{
				{"", "", core.KindInvalid}, {"main", "none", core.KindNotFound}, {strings.Repeat("1", 40), "", core.KindNotFound},
				{"main", "refs/heads/main", core.KindInvalid}, {"main", "refs/internal/x", core.KindInvalid}, {"main", "a b", core.KindInvalid}, {"nope", "", core.KindNotFound},
			} {
				_, err := f.Note(t.Context(), f.repo, tt.object, tt.ref)
				require.Equal(t, tt.want, core.KindOf(err), "%v %v", tt, err)
			}
			// Where there are many, git puts notes into folders.
			for i := range 3 {
				object := strings.Repeat(fmt.Sprint(i+1), len(id))
				blob := f.input(fmt.Sprintf("note %d", i), "hash-object", "-w", "--stdin")
				path := object
				for range i {
					cut := strings.LastIndexByte(path, '/') + 1
					path = path[:cut+2] + "/" + path[cut+2:]
				}
				f.run("read-tree", "--empty")
				f.run("update-index", "--add", "--cacheinfo", "100644,"+blob+","+path)
				f.run("update-ref", "refs/notes/deep", f.run("commit-tree", "-m", "n", f.run("write-tree")))
				n, err := f.Note(t.Context(), f.repo, object, "deep")
				require.NoError(t, err, path)
				require.Equal(t, fmt.Sprintf("note %d", i), n.Text)
				require.Equal(t, f.run("rev-parse", "refs/notes/deep"), string(n.Tip))
			}
		})
	}
}

func TestService_NotesRefs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	id := f.commit("one")
	for _, name := range []string{"commits", "review/a", "review/b", "reviews"} {
		f.run("notes", "--ref="+name, "add", "--message=x", string(id))
	}
	for _, tt := range []struct{ prefix, full, want string }{
		{"", "refs/notes/", "commits review/a review/b reviews"},
		{"rev", "refs/notes/rev", "review/a review/b reviews"},
		{"review/", "refs/notes/review/", "review/a review/b"},
		{"notes/review/", "refs/notes/review/", "review/a review/b"},
		{"refs/notes/reviews", "refs/notes/reviews", "reviews"},
		{"none", "refs/notes/none", ""},
	} {
		var got []string
		p := RefsPage{Limit: 1}
		for {
			refs, next, full, err := f.NotesRefs(t.Context(), f.repo, tt.prefix, p)
			require.NoError(t, err)
			require.Equal(t, tt.full, full)
			for _, r := range refs {
				got = append(got, strings.TrimPrefix(r.Name, "refs/notes/"))
			}
			if p.Cursor = next; next == "" {
				break
			}
		}
		require.Equal(t, tt.want, strings.Join(got, " "), tt.prefix)
	}
	for _, prefix := range []string{"refs/heads/", "refs/internal/", "../x", "a b", "refs/notes/../heads"} {
		_, _, _, err := f.NotesRefs(t.Context(), f.repo, prefix, RefsPage{Limit: 1})
		require.Equal(t, core.KindInvalid, core.KindOf(err), prefix)
	}
}

// objectCount is how many loose objects and packs the repository has.
func objectCount(f *fixture) string { return f.run("count-objects", "-v") }

func TestService_PreviewMerge(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, format)
			var files []string
			for i := range 25 {
				files = append(files, fmt.Sprintf("many/%02d", i), "base\n")
			}
			base := f.commit("base", append(files, "clean", "1\n", "bin", "\x00", "big", "x\n", "gone", "1\n")...)
			f.run("update-ref", "refs/heads/behind", string(base))
			f.run("checkout", "--quiet", "-b", "clean")
			f.commit("clean", "clean", "2\n")
			f.run("checkout", "--quiet", "-b", "conflict", "behind")
			for i := range 25 {
				f.write(fmt.Sprintf("many/%02d", i), "theirs\n")
			}
			f.commit("theirs", "bin", "\x00\x01", "big", strings.Repeat("theirs \u00e4\n", 20_000), "gone", "2\n")
			f.run("checkout", "--quiet", "main")
			for i := range 25 {
				f.write(fmt.Sprintf("many/%02d", i), "ours\n")
			}
			f.run("rm", "--quiet", "gone")
			tip := f.commit("ours", "bin", "\x00\x02", "big", "ours\n")
			before, refs := objectCount(f), f.run("for-each-ref")

			preview := func(source, target string, contents bool) MergePreview {
				p, err := f.PreviewMerge(t.Context(), f.repo, MergePreviewRequest{Source: at(source), Target: at(target), Contents: contents})
				require.NoError(t, err)
				return p
			}
			require.Equal(t, NoOp, preview("behind", "main", true).Result)
			require.Equal(t, FastForward, preview("main", "behind", true).Result)
			p := preview("clean", "main", true)
			require.Equal(t, MergeCommit, p.Result)
			require.Empty(t, p.Conflicts)
			require.Equal(t, base, p.MergeBase)
			require.Equal(t, tip, p.TargetTip)

			p = preview("conflict", "main", false)
			require.Len(t, p.Conflicts, 28)
			require.Empty(t, p.Contents)
			p = preview("conflict", "main", true)
			require.Len(t, p.Contents, 20)
			require.Len(t, p.Filtered, 8)
			require.Equal(t, FilteredConflict{"many/17", "max_conflict_files_exceeded"}, p.Filtered[0])
			at := map[string]MergeConflict{}
			for _, c := range p.Contents {
				at[c.Path] = c
			}
			require.Equal(t, "base\n", at["many/00"].Base.Content)
			require.Equal(t, "ours\n", at["many/00"].Ours.Content)
			require.Equal(t, "theirs\n", at["many/00"].Theirs.Content)
			require.Contains(t, at["many/00"].Result.Content, "<<<<<<< "+string(tip)+"\nours\n=======\ntheirs\n>>>>>>>")
			require.True(t, at["bin"].Ours.Binary)
			require.Empty(t, at["bin"].Ours.Content)
			require.True(t, at["big"].Theirs.Truncated)
			require.LessOrEqual(t, len(at["big"].Theirs.Content), 64<<10)
			require.Empty(t, at["gone"].Ours.ID)
			require.Equal(t, "2\n", at["gone"].Theirs.Content)

			require.Equal(t, before, objectCount(f), "no object stays")
			require.Equal(t, refs, f.run("for-each-ref"), "no ref moves")
			left, err := os.ReadDir(f.temp)
			require.NoError(t, err)
			require.Empty(t, left)

			// Submodules that the sides have at other commits, which no repository here has.
			modules := map[string]string{}
			for _, n := range []string{"1", "2"} {
				modules[n] = strings.Repeat(n, len(base))
				tree := f.input(f.run("ls-tree", "behind")+"\n160000 commit "+modules[n]+"\tmodule\n", "mktree", "--missing")
				f.run("update-ref", "refs/heads/module-"+n, f.run("commit-tree", "-p", "behind", "-m", "module", tree))
			}
			p = preview("module-1", "module-2", true)
			require.Equal(t, []string{"module"}, p.Conflicts)
			require.Equal(t, ConflictVersion{ID: core.ObjectID(modules["2"])}, p.Contents[0].Ours)
			require.Equal(t, ConflictVersion{ID: core.ObjectID(modules["1"])}, p.Contents[0].Theirs)

			f.run("checkout", "--quiet", "--orphan", "alone")
			f.commit("alone", "lonely", "x")
			r := MergePreviewRequest{Source: At{Ref: "alone"}, Target: At{Ref: "behind"}}
			_, err = f.PreviewMerge(t.Context(), f.repo, r)
			require.Equal(t, core.KindConflict, core.KindOf(err), "%v", err)
			r.AllowUnrelated = true
			p, err = f.PreviewMerge(t.Context(), f.repo, r)
			require.NoError(t, err)
			require.Empty(t, p.MergeBase)
			_, err = f.PreviewMerge(t.Context(), f.repo, MergePreviewRequest{Source: At{Ref: "nope"}, Target: At{Ref: "main"}})
			require.Equal(t, core.KindNotFound, core.KindOf(err))
			_, err = f.PreviewMerge(t.Context(), f.repo, MergePreviewRequest{Source: At{Ref: "main"}})
			require.Equal(t, core.KindInvalid, core.KindOf(err))
		})
	}
}

func TestService_Commits(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	randomHistory(f, 3, 50)
	for _, path := range []string{"", "dir", "a"} {
		args := []string{"rev-list", "main"}
		if path != "" {
			args = append(args, "--", path)
		}
		want := strings.Fields(f.run(args...))
		for _, limit := range []int{1, 7, 100} {
			var got []string
			r := CommitsRequest{Path: path, Limit: limit}
			for {
				page, err := f.Commits(t.Context(), f.repo, r)
				require.NoError(t, err)
				for _, c := range page.Commits {
					got = append(got, string(c.ID))
				}
				if r.Cursor = page.Next; page.Next == "" {
					break
				}
			}
			require.Equal(t, want, got)
		}
	}
	_, err := f.Commits(t.Context(), f.repo, CommitsRequest{Limit: 1, Cursor: offsetCursor("commits", "1234567890123456789012345678901234567890", 1)})
	require.Equal(t, core.KindNotFound, core.KindOf(err), "%v", err)
	_, err = f.Commits(t.Context(), f.repo, CommitsRequest{Limit: 1, Cursor: "x"})
	require.Equal(t, core.KindInvalid, core.KindOf(err))
}

func TestService_Commit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	root := f.commit("root\n\nbody\n\n", "a", "x")
	c, err := f.Commit(t.Context(), f.repo, at("main"))
	require.NoError(t, err)
	require.Equal(t, root, c.ID)
	require.Equal(t, []core.ObjectID{}, c.Parents)
	require.Equal(t, "root\n\nbody", c.Message)
	require.Empty(t, c.Signature)
	require.Empty(t, c.Payload)
	_, err = f.Commit(t.Context(), f.repo, At{})
	require.Equal(t, core.KindInvalid, core.KindOf(err))

	// A signed one: the payload is what the signature is for, byte by byte.
	head := "tree " + f.run("rev-parse", "main^{tree}") + "\nparent " + string(root) + "\nauthor A <a@e> 1 +0000\ncommitter C <c@e> 2 -0330\n"
	signature := "-----BEGIN PGP SIGNATURE-----\n\nabc\n=def\n-----END PGP SIGNATURE-----"
	tail := "mergetag object x\n type commit\n\nsubject\n\nbody  \n\n"
	raw := head + "gpgsig " + strings.ReplaceAll(signature, "\n", "\n ") + "\ngpgsig-sha256 other\n more\n" + tail
	id := f.input(raw, "hash-object", "-t", "commit", "-w", "--stdin", "--literally")
	c, err = f.Commit(t.Context(), f.repo, at(id))
	require.NoError(t, err)
	require.Equal(t, signature+"\n", c.Signature)
	require.Equal(t, head+tail, c.Payload)
	require.Equal(t, "subject\n\nbody  ", c.Message)
	require.Equal(t, "1969-12-31T20:30:02-03:30", c.Committer.When.Format("2006-01-02T15:04:05Z07:00"))

	latin := head + "encoding ISO-8859-1\n\ncaf\xe9\n"
	c, err = f.Commit(t.Context(), f.repo, at(f.input(latin, "hash-object", "-t", "commit", "-w", "--stdin", "--literally")))
	require.NoError(t, err)
	require.Equal(t, "caf\u00e9", c.Message)
}

func TestParseTime_whatClientsCanRead(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0 +0000":                    "1970-01-01T00:00:00Z",
		"1700000000 -0730":           "2023-11-14T14:43:20-07:30",
		"253402300799 +0000":         "9999-12-31T23:59:59Z",
		"253402300800 +0000":         "9999-12-31T23:59:59Z",
		"253402300799 +0100":         "9999-12-31T23:59:59Z",
		"253402300800 -0100":         "9999-12-31T23:00:00-01:00",
		"9223372036854775807 +0000":  "9999-12-31T23:59:59Z",
		"99999999999999999999 +0000": "9999-12-31T23:59:59Z",
		"1 +9999":                    "1970-01-01T00:00:01Z",
		"-1 +0000":                   "1970-01-01T00:00:00Z",
		"x y":                        "1970-01-01T00:00:00Z",
	} {
		seconds, offset, _ := strings.Cut(in, " ")
		require.Equal(t, want, parseTime(seconds, offset).Format(time.RFC3339), in)
	}
}

func FuzzParseCommit(f *testing.F) {
	f.Add([]byte("tree x\nauthor A <a> 1 +0000\ngpgsig a\n b\n\nm"))
	f.Add([]byte("author <>> 99999999999999999999 +9999\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := parseCommit(core.ZeroSHA1, data)
		_, err := c.Author.When.MarshalJSON()
		require.NoError(t, err)
		_, err = c.Committer.When.MarshalJSON()
		require.NoError(t, err)
		require.NotNil(t, c.Parents)
	})
}

func FuzzParseTree(f *testing.F) {
	f.Add([]byte("100644 a\x0001234567890123456789"))
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = parseTree(data, 20) })
}
