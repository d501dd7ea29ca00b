// Package explorer serves what reads the API's document for a person: a page at /api with
// every operation, made of the OpenAPI document alone; /llms.txt, the list of the
// documents for programs; /docs/, the same list as a page; and the documents themselves
// below it, as Markdown.
//
// The page is whole without JavaScript and has none. It needs no token, because it says
// nothing that the published document does not.
package explorer
