package main

import "fmt"

// stepError is an error for a person at a shell: what failed, and the one
// thing to do next.
type stepError struct {
	message string
	next    string
	usage   bool // the command line itself is wrong: exit code 2
	err     error
}

// Error returns the message and the cause.
func (e *stepError) Error() string {
	if e.err == nil {
		return e.message
	}
	return fmt.Sprintf("%s: %v", e.message, e.err)
}

// Unwrap returns the cause.
func (e *stepError) Unwrap() error { return e.err }

// failf makes a stepError without a cause.
func failf(next, format string, args ...any) error {
	return &stepError{message: fmt.Sprintf(format, args...), next: next}
}

// usagef makes a stepError for a wrong command line.
func usagef(next, format string, args ...any) error {
	return &stepError{message: fmt.Sprintf(format, args...), next: next, usage: true}
}

// wrapf makes a stepError around err.
func wrapf(err error, next, format string, args ...any) error {
	return &stepError{message: fmt.Sprintf(format, args...), next: next, err: err}
}
