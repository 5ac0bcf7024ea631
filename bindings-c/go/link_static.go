//go:build !callsheet_dynamic

package callsheet

// The archive that bindings-c/build.sh made. Its only global symbols are callsheet_*, so that it lives beside another
// SQLite in one program.

// #cgo CFLAGS: -I${SRCDIR}/../include
// #cgo LDFLAGS: ${SRCDIR}/../../target/release/libcallsheet.a -lm
// #cgo linux LDFLAGS: -lgcc_s -lutil -lrt -lpthread -ldl
// #cgo darwin LDFLAGS: -framework CoreFoundation -framework Security
import "C"
