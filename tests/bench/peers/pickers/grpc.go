// Balancers of gRPC-Go, its own and go-zero's: their pickers, as gRPC uses them for each call. Connections are ready at
// once and lead nowhere.

package main

import (
	"context"
	"errors"

	_ "github.com/zeromicro/go-zero/zrpc" // its balancer is an internal package, which gRPC knows by name
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/roundrobin"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/resolver"
)

func goZeroP2C() func() { return grpc("p2c_ewma") }

func grpcRoundRobin() func() { return grpc(roundrobin.Name) }

func grpc(name string) func() {
	to := &clientConn{}
	built := balancer.Get(name).Build(to, balancer.BuildOptions{})
	state := resolver.State{}
	for n := range instances {
		one := resolver.Address{Addr: address(n)}
		state.Addresses = append(state.Addresses, one)
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{one}})
	}
	check(built.UpdateClientConnState(balancer.ClientConnState{ResolverState: state}))
	for len(to.next) > 0 {
		next := to.next[0]
		to.next = to.next[1:]
		next()
	}
	if len(to.ready) != instances || to.last.ConnectivityState != connectivity.Ready {
		check(errors.New(name + " is not ready"))
	}
	info := balancer.PickInfo{FullMethodName: "/", Ctx: context.Background()}
	pick := to.last.Picker.Pick
	return func() {
		picked, err := pick(info)
		check(err)
		if picked.Done != nil {
			picked.Done(balancer.DoneInfo{})
		}
	}
}

// clientConn is what a balancer asks for connections, and gives its pickers to.
type clientConn struct {
	balancer.ClientConn
	last  balancer.State
	ready []*subConn
	// next is what happens to connections: not before the balancer is done with asking, as it holds a lock then.
	next []func()
}

func (to *clientConn) NewSubConn(_ []resolver.Address, options balancer.NewSubConnOptions) (balancer.SubConn, error) {
	return &subConn{to: to, changed: options.StateListener}, nil
}

func (to *clientConn) UpdateState(state balancer.State) { to.last = state }

func (to *clientConn) Target() string { return "" }

func (to *clientConn) MetricsRecorder() stats.MetricsRecorder {
	return struct {
		stats.UnimplementedMetricsRecorder
	}{}
}

type subConn struct {
	balancer.SubConn
	to      *clientConn
	changed func(balancer.SubConnState)
}

func (conn *subConn) Connect() {
	conn.to.next = append(conn.to.next, func() {
		conn.changed(balancer.SubConnState{ConnectivityState: connectivity.Connecting})
		conn.to.ready = append(conn.to.ready, conn)
		conn.changed(balancer.SubConnState{ConnectivityState: connectivity.Ready})
	})
}

func (conn *subConn) RegisterHealthListener(healthy func(balancer.SubConnState)) {
	conn.to.next = append(conn.to.next, func() {
		healthy(balancer.SubConnState{ConnectivityState: connectivity.Ready})
	})
}
