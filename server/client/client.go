package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// API calls the operations and decodes their answers. The methods of [Client]
// that it hides return the plain response.
type API struct{ *Client }

// New returns an API of the server at a base URL, such as
// https://git.example.com. It does not contact it yet.
func New(server string, options ...ClientOption) (*API, error) {
	c, err := NewClient(server, options...)
	if err != nil {
		return nil, err
	}
	return &API{c}, nil
}

// Error is an answer that is not a success.
type Error struct {
	Status     int    // of HTTP
	Message    string // the server's own words
	Code       string // what failed, for programs; "" if the answer is not the server's
	RetryAfter string // header of this name, in seconds; "" if there is none
	Body       []byte
}

// Error returns the server's own words.
func (e *Error) Error() string { return e.Message }

// Check returns an [*Error] and closes the body if a response is not a success.
// It takes what a method of [Client] returns.
func Check(resp *http.Response, err error) (*http.Response, error) {
	if err != nil || resp.StatusCode/100 == 2 {
		return resp, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer %s: %w", resp.Status, err)
	}
	failed := &Error{Status: resp.StatusCode, RetryAfter: resp.Header.Get("Retry-After"), Body: body}
	var problem struct {
		Error  string `json:"error"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}
	// What a proxy answers need not be JSON.
	_ = json.Unmarshal(body, &problem)
	failed.Code, failed.Message = problem.Code, problem.Error
	if failed.Message == "" {
		failed.Message = problem.Detail
	}
	if failed.Message == "" {
		failed.Message = "the server answered " + resp.Status
	}
	return nil, failed
}

// DecodeError says that an answer is not what the document promises.
type DecodeError struct{ Err error }

// Error describes the answer.
func (e *DecodeError) Error() string { return "read the server's answer: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// read decodes a response into T.
func read[T any](resp *http.Response, err error) (T, error) {
	var out T
	if resp, err = Check(resp, err); err != nil {
		return out, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return out, fmt.Errorf("read the server's answer: %w", err)
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return out, &DecodeError{err}
	}
	return out, nil
}

// done checks a response without a body.
func done(resp *http.Response, err error) error {
	if resp, err = Check(resp, err); err != nil {
		return err
	}
	return resp.Body.Close()
}
