// Package e2e tests the shipped binary from outside: scripts start it as a
// process, speak to it with real git and curl, and look at what the upstream
// host got. The hosts are forges of package providertest; with the build tag
// peers also a real Gitea.
//
// The scripts are in testdata, one folder per subject, in the language of
// testscript (https://pkg.go.dev/github.com/rogpeppe/go-internal/testscript).
// Besides its commands they have
//
//	startserver [FLAG...]    start headwater serve on a free port; sets $URL and $HOST
//	stopserver               end it with SIGTERM and wait; fails if it does not end well
//	killserver               end it with SIGKILL
//	headwater ARG...         run the command line; $HEADWATER_DATA is the server's folder
//	git [-t TOKEN] ARG...    run git; without -t, credentials come from headwater git-credential
//	curl [FLAG...] METHOD PATH [BODY]
//	                         call the server; stdout ends in a line "HTTP status"
//	token NAME REPO SCOPES [CLAIMS]
//	                         sign a token and keep it under a name
//	waitsync [-pull] [-ref REF] REPO
//	                         wait for a sync; stdout is the repository as JSON
//	forge VERB ARG...        make and steer the upstream host; see forge_test.go
//	egress VERB NAME         make and steer a forward proxy with a password: start (its URL
//	                         is in .secrets/NAME.url), used (prints how many requests it
//	                         has passed on since), lock (changes the password)
//	same FILE FILE           compare two files or streams, white space at the ends left out
//	mode FILE 0600           check the permissions of a file
//	plant NAME FILE          remember what a file holds as a secret
//	secretscan [FILE]        search for secrets now; every script ends with it anyway
//
// Every secret that a script uses is remembered, and nothing that the script
// leaves behind may hold it: outputs, logs, git configuration, the database,
// command lines of processes.
package e2e
