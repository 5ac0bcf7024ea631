// The pickers of other Go libraries, beside which callsheet's are printed, led by `bench.py`. In a module of its own, as
// go-zero brings versions of etcd's client and of gRPC along that programs which only read etcd do not have.

package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/zeromicro/go-zero/core/logx"
)

const (
	calls     = 200_000
	instances = 100
)

func main() {
	pickers := map[string]func() (pick func()){
		"kratos-wrr":       kratosRoundRobin,
		"kratos-p2c":       kratosP2C,
		"go-zero-p2c":      goZeroP2C,
		"grpc-round-robin": grpcRoundRobin,
	}
	if len(os.Args) != 3 || pickers[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "usage: %s kratos-wrr|kratos-p2c|go-zero-p2c|grpc-round-robin THREADS\n", os.Args[0])
		os.Exit(2)
	}
	logx.Disable() // go-zero would say among the figures what its process uses
	threads := must(strconv.Atoi(os.Args[2]))
	pick := pickers[os.Args[1]]()
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		fmt.Println(perCall(threads, pick))
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// perCall is nanoseconds of one of many calls on each of so many threads.
func perCall(threads int, call func()) float64 {
	var group sync.WaitGroup
	began := time.Now()
	for range threads {
		group.Go(func() {
			for range calls {
				call()
			}
		})
	}
	group.Wait()
	return float64(time.Since(began).Nanoseconds()) / calls
}

// address of one of the instances.
func address(n int) string { return fmt.Sprintf("10.0.0.%d:8080", n) }
