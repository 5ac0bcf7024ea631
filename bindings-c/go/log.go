// The library's log, through a pipe to log/slog: the library never calls Go.

package callsheet

// #include "shim.h"
import "C"

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
)

// LevelTrace is below [slog.LevelDebug]: everything.
const LevelTrace = slog.LevelDebug - 4

// From the least to the most.
var levels = []struct {
	number C.int32_t
	level  slog.Level
}{
	{C.CALLSHEET_LOG_ERROR, slog.LevelError},
	{C.CALLSHEET_LOG_WARN, slog.LevelWarn},
	{C.CALLSHEET_LOG_INFO, slog.LevelInfo},
	{C.CALLSHEET_LOG_DEBUG, slog.LevelDebug},
	{C.CALLSHEET_LOG_TRACE, LevelTrace},
}

var logging sync.Mutex

// SetLogger hands the log of this process's callsheet to logger from now on, as far down as its handler is enabled now;
// nil ends it. Without it nothing is logged. Lines come one at a time, at most 100 a second.
//
// Errors: [ErrInternal] when the process has no descriptors left.
func SetLogger(logger *slog.Logger) error {
	logging.Lock()
	defer logging.Unlock()
	var object *C.callsheet_error_t
	if logger == nil {
		return failure(C.cs_log_off(&object), object)
	}
	lowest := C.int32_t(C.CALLSHEET_LOG_ERROR)
	for _, one := range levels {
		if logger.Enabled(context.Background(), one.level) {
			lowest = one.number
		}
	}
	reader, writer, err := pipe()
	if err != nil {
		return &Error{Code: CodeInternal, Message: "can't make a pipe (see `ulimit -n`): " + err.Error(), cause: err}
	}
	// Ends when the library closes the other end, because another logger was set.
	go func() {
		defer reader.Close()
		pass(reader, logger)
	}()
	return failure(C.cs_log_to(lowest, C.int(writer), &object), object)
}

// pipe returns an end that Go's netpoller waits for, and one that the library writes and closes.
func pipe() (*os.File, int, error) {
	var ends [2]int
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(ends[:]); err != nil {
		return nil, -1, os.NewSyscallError("pipe", err)
	}
	syscall.CloseOnExec(ends[0])
	syscall.CloseOnExec(ends[1])
	if err := syscall.SetNonblock(ends[0], true); err != nil {
		syscall.Close(ends[0])
		syscall.Close(ends[1])
		return nil, -1, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(ends[0]), "callsheet-log"), ends[1], nil
}

// pass hands each line to logger: its level, its length, its text.
func pass(from io.Reader, logger *slog.Logger) {
	lines := bufio.NewReader(from)
	for {
		var head [8]byte
		if _, err := io.ReadFull(lines, head[:]); err != nil {
			return
		}
		text := make([]byte, binary.NativeEndian.Uint32(head[4:]))
		if _, err := io.ReadFull(lines, text); err != nil {
			return
		}
		level := LevelTrace
		for _, one := range levels {
			if uint32(one.number) == binary.NativeEndian.Uint32(head[:4]) {
				level = one.level
			}
		}
		logger.Log(context.Background(), level, string(text))
	}
}
