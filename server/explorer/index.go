package explorer

import (
	"bytes"
	"regexp"
	"strings"
	"sync"

	"github.com/headwater-git/headwater/docs"
)

// section is a part of the list of documents.
type section struct {
	Title     string
	Documents []entry
}

// ID is the anchor of the section.
func (s section) ID() string { return strings.ToLower(s.Title) }

// entry is a document in the list.
type entry struct{ Name, Title, Text string }

// listed is a line of llms.txt that has a document.
var listed = regexp.MustCompile(`^- \[([^\]]+)\]\(docs/([^)]+)\)(?:: (.*))?$`)

// sections reads llms.txt, so that the page has what the list for programs has.
func sections(list string) []section {
	var all []section
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			all = append(all, section{Title: title})
			continue
		}
		if m := listed.FindStringSubmatch(line); m != nil && len(all) > 0 {
			last := &all[len(all)-1]
			last.Documents = append(last.Documents, entry{m[2], m[1], m[3]})
		}
	}
	return all
}

// index is the page that lists the documents.
var index = sync.OnceValues(func() ([]byte, error) {
	list, err := docs.Files.ReadFile("llms.txt")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = templates().ExecuteTemplate(&out, "docs.html", sections(string(list)))
	return out.Bytes(), err
})
