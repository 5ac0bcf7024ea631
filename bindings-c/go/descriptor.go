// Descriptors of the operating system.

package callsheet

import (
	"os"
	"syscall"
)

// duplicate returns another descriptor of the same open file, closed on exec. Whether it blocks is the file's.
func duplicate(fd int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	copied, err := syscall.Dup(fd)
	if err != nil {
		return -1, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(copied)
	return copied, nil
}
