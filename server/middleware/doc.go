// Package middleware is what every HTTP surface of the server (REST, smart HTTP,
// inbound webhooks) does around a request. [Stack] puts the concerns in order:
//
//   - [RequestIDs] names the request;
//   - [AccessLog] tells of it once it is over;
//   - [Recovery] turns a panic into an answer;
//   - [Errors] turns an error into an answer.
//
// [Access] says who sends a request and which repository the token opens; a
// surface calls it for the paths that need a token. The form of an error answer
// (JSON, a line that git shows, plain text for webhooks), of the log line and of
// the refusals is the surface's own and is passed in as a function or a text.
package middleware
