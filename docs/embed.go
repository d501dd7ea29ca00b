// Package docs holds the documents of this version, which the server shows to whoever
// reads them without the repository.
package docs

import "embed"

// Files are the documents, in Markdown, and llms.txt, the list of them.
//
//go:embed *.md llms.txt
var Files embed.FS
