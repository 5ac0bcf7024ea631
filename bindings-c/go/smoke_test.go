package callsheet

import (
	"context"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := Connect(ctx, "memory:")
	if err != nil {
		t.Fatal(err)
	}
	r, err := client.Register(ctx, Registration{Service: "billing", Port: 8080, Tags: []string{"v2"}, Metadata: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r.ID(), r.State(), r.LastError())
	s, err := client.Lookup(ctx, "billing")
	t.Log(s, err)
	for i := range s.All() {
		t.Log(i, i.Tags, i.Metadata)
	}
	p, err := client.Picker(ctx, "billing", P2C)
	if err != nil {
		t.Fatal(err)
	}
	pick, err := p.Pick()
	t.Log(pick.Instance, err, pick.Instance == s.At(0))
	pick.Done(nil)
	for s, err := range client.Watch(ctx, "billing") {
		t.Log(s, err)
		break
	}
	t.Log(client.Close(), r.State(), client.Stats())
}

func bench(b *testing.B, policy Policy) {
	ctx := context.Background()
	m, _ := OpenMemory("bench")
	for i := range 100 {
		m.Put(Registration{Service: "billing", Address: "10.0.0.1", Port: 1000 + i})
	}
	client, err := Connect(ctx, "memory:bench")
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	p, err := client.Picker(ctx, "billing", policy)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		pick, err := p.Pick()
		if err != nil {
			b.Fatal(err)
		}
		pick.Done(nil)
	}
}

func BenchmarkRoundRobin(b *testing.B) { bench(b, RoundRobin) }
func BenchmarkP2C(b *testing.B)        { bench(b, P2C) }
