// Errors: the library's codes, messages and causes as Go's.

package callsheet

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// Code says what kind of failure an [Error] is. The words are the same in every language.
type Code string

// Every code.
const (
	// CodeInvalidArgument: an argument of this call is wrong; nothing was done.
	CodeInvalidArgument Code = "invalid_argument"
	// CodeConfig: the URL, an option, the environment or a file given to [Connect] is wrong.
	CodeConfig Code = "config"
	// CodeNotFound: no registration with this id.
	CodeNotFound Code = "not_found"
	// CodeNoInstances: the picker has nothing to pick.
	CodeNoInstances Code = "no_instances"
	// CodeUnavailable: the registry can't be reached or does not answer.
	CodeUnavailable Code = "unavailable"
	// CodeTimeout: the time allowed for the call is over.
	CodeTimeout Code = "timeout"
	// CodeUnauthenticated: the registry does not accept the credentials.
	CodeUnauthenticated Code = "unauthenticated"
	// CodePermissionDenied: the registry accepts the credentials but not this operation.
	CodePermissionDenied Code = "permission_denied"
	// CodeConflict: something else already holds what was asked for.
	CodeConflict Code = "conflict"
	// CodeClosed: the client, watch or registration is closed.
	CodeClosed Code = "closed"
	// CodeCancelled: the call was cancelled.
	CodeCancelled Code = "cancelled"
	// CodeForked: the object belongs to the parent of this forked process.
	CodeForked Code = "forked"
	// CodeProtocol: the registry answered with something that it never should.
	CodeProtocol Code = "protocol"
	// CodeInternal: a defect in callsheet itself.
	CodeInternal Code = "internal"
)

// What errors are compared with: errors.Is(err, callsheet.ErrClosed). There is one for each code.
var (
	ErrInvalidArgument  error = sentinel(CodeInvalidArgument)
	ErrConfig           error = sentinel(CodeConfig)
	ErrNotFound         error = sentinel(CodeNotFound)
	ErrNoInstances      error = sentinel(CodeNoInstances)
	ErrUnavailable      error = sentinel(CodeUnavailable)
	ErrTimeout          error = sentinel(CodeTimeout)
	ErrUnauthenticated  error = sentinel(CodeUnauthenticated)
	ErrPermissionDenied error = sentinel(CodePermissionDenied)
	ErrConflict         error = sentinel(CodeConflict)
	ErrClosed           error = sentinel(CodeClosed)
	ErrCancelled        error = sentinel(CodeCancelled)
	ErrForked           error = sentinel(CodeForked)
	ErrProtocol         error = sentinel(CodeProtocol)
	ErrInternal         error = sentinel(CodeInternal)
)

type sentinel Code

func (s sentinel) Error() string { return "callsheet: " + string(s) }

// Error is every error of this package. It matches the sentinel of its code, and, where a context ended the call,
// [context.Canceled] or [context.DeadlineExceeded] and the context's cause.
type Error struct {
	// Code says what kind of failure it is.
	Code Code
	// Message says what happened and what to do, with the causes.
	Message string
	// Retryable says whether the same call may succeed later unchanged.
	Retryable bool

	cause error
	// What a context ended with.
	ended error
}

// Error returns the message.
func (e *Error) Error() string { return "callsheet: " + e.Message }

// Unwrap returns what caused it, or nil: another [*Error], a [syscall.Errno], or the cause of the context.
func (e *Error) Unwrap() error { return e.cause }

// Is says whether target is the sentinel of its code, or what the context ended with.
func (e *Error) Is(target error) bool {
	if code, ok := target.(sentinel); ok {
		return Code(code) == e.Code
	}
	return e.ended != nil && target == e.ended
}

// The library's numbers for the codes.
var codes = map[C.callsheet_code]Code{
	C.CALLSHEET_INVALID_ARGUMENT:  CodeInvalidArgument,
	C.CALLSHEET_CONFIG:            CodeConfig,
	C.CALLSHEET_NOT_FOUND:         CodeNotFound,
	C.CALLSHEET_NO_INSTANCES:      CodeNoInstances,
	C.CALLSHEET_UNAVAILABLE:       CodeUnavailable,
	C.CALLSHEET_TIMEOUT:           CodeTimeout,
	C.CALLSHEET_UNAUTHENTICATED:   CodeUnauthenticated,
	C.CALLSHEET_PERMISSION_DENIED: CodePermissionDenied,
	C.CALLSHEET_CONFLICT:          CodeConflict,
	C.CALLSHEET_CLOSED:            CodeClosed,
	C.CALLSHEET_CANCELLED:         CodeCancelled,
	C.CALLSHEET_FORKED:            CodeForked,
	C.CALLSHEET_PROTOCOL:          CodeProtocol,
	C.CALLSHEET_INTERNAL:          CodeInternal,
}

// code returns the code of a number; one that a newer library may have is a defect of this package.
func code(number C.callsheet_code) Code {
	if code, ok := codes[number]; ok {
		return code
	}
	return CodeInternal
}

// failure turns what a call returned into an error, nil for CALLSHEET_OK, and frees the error object.
func failure(number C.callsheet_code, object *C.callsheet_error_t) error {
	if number == C.CALLSHEET_OK {
		return nil
	}
	if object == nil {
		if number == C.CALLSHEET_CLOSED {
			return closed("client")
		}
		return &Error{Code: code(number), Message: string(code(number))}
	}
	defer C.callsheet_error_free(object)
	return readError(object)
}

// readError copies an error object and its causes.
func readError(object *C.callsheet_error_t) *Error {
	made := &Error{
		Code:      code(C.callsheet_error_code(object)),
		Message:   C.GoString(C.callsheet_error_message(object)),
		Retryable: bool(C.callsheet_error_retryable(object)),
	}
	if cause := C.callsheet_error_cause(object); cause != nil {
		made.cause = readCause(cause)
	}
	return made
}

// foreign is a cause that is no error of callsheet's.
type foreign struct {
	message string
	cause   error
}

func (f *foreign) Error() string { return f.message }

func (f *foreign) Unwrap() error { return f.cause }

func readCause(object *C.callsheet_error_t) error {
	if C.callsheet_error_code(object) != C.CALLSHEET_FOREIGN {
		return readError(object)
	}
	made := &foreign{message: C.GoString(C.callsheet_error_message(object))}
	if errno := C.callsheet_error_errno(object); errno != 0 {
		made.cause = syscall.Errno(errno)
	} else if cause := C.callsheet_error_cause(object); cause != nil {
		made.cause = readCause(cause)
	}
	return made
}

func invalid(format string, arguments ...any) *Error {
	return &Error{Code: CodeInvalidArgument, Message: fmt.Sprintf(format, arguments...)}
}

func closed(what string) *Error {
	return &Error{Code: CodeClosed, Message: "this " + what + " is closed; open a new one"}
}

// ended is the error of a call that its context ended.
func ended(ctx context.Context, what string) *Error {
	made := &Error{Code: CodeCancelled, ended: context.Canceled}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		made = &Error{Code: CodeTimeout, Retryable: true, ended: context.DeadlineExceeded}
	}
	made.Message = what + ": " + ctx.Err().Error()
	if cause := context.Cause(ctx); cause != ctx.Err() {
		made.cause = cause
		made.Message += ": " + cause.Error()
	}
	return made
}
