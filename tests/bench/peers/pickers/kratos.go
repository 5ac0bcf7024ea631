// kratos: its selectors, as its clients use them for each call.

package main

import (
	"context"

	"github.com/go-kratos/kratos/v2/selector"
	"github.com/go-kratos/kratos/v2/selector/p2c"
	"github.com/go-kratos/kratos/v2/selector/wrr"
)

func kratosRoundRobin() func() { return kratos(wrr.New()) }

func kratosP2C() func() { return kratos(p2c.New()) }

func kratos(from selector.Selector) func() {
	nodes := make([]selector.Node, instances)
	for n := range nodes {
		nodes[n] = selector.NewNode("http", address(n), nil)
	}
	from.Apply(nodes)
	background := context.Background()
	return func() {
		_, done, err := from.Select(background)
		check(err)
		done(background, selector.DoneInfo{})
	}
}
