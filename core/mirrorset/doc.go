// Package mirrorset mirrors all repositories of an owner at a host: it lists them,
// plans what a list means here, makes what is missing, and looks again from time to
// time where a set is followed.
//
// A look can be cut short anywhere and begun again: what is here is found by the
// stable id of the host, so nothing is made twice. A repository that the host lists no
// more is never deleted here.
package mirrorset
