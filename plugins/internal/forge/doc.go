// Package forge holds what the built-in plugins share: the rules by which
// hosts name repositories ([Rules]), the parts of a provider that are the same
// everywhere ([Base]), and a JSON client that turns a host's answers into the
// errors of the provider contract ([Client]).
package forge
