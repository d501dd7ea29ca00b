// Package serve serves fetches: it runs git upload-pack for clients that may
// only read, and so may not hurt the server.
//
// A process is started when the whole request is here, is known to be well
// formed, and a slot of the limiter is free: half a request holds a connection
// and nothing else. What upload-pack hides and what it allows is decided here
// alone.
package serve
