// Package console serves the pages below /console: what a person looks at and does with
// a browser instead of the command line.
//
// It decides nothing by itself. What changes something, and most of what is shown of one
// repository, is a call of the API inside the process, with the identity of who is signed
// in: scopes, issued operations, the audit and the rules for refs hold as for any
// token. Lists of all repositories come from the store, filtered by organisation in one
// place, [session.sees] and the organisation that a query is asked for.
//
// Pages are whole without JavaScript: pictures are SVG, forms are forms. With it, what
// changes is fetched anew and pictures follow. The policy for content allows neither
// inline script nor inline style.
package console
