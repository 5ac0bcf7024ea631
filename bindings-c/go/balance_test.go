package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

func open(t testing.TB, client *callsheet.Client, policy callsheet.Policy, options ...callsheet.PickerOption) *callsheet.Picker {
	t.Helper()
	picker, err := client.Picker(within(t), "billing", policy, options...)
	must(t, err)
	return picker
}

// home returns the id of the instance of a key.
func home(t testing.TB, picker *callsheet.Picker, key string) string {
	t.Helper()
	pick, err := picker.PickKey(key)
	must(t, err)
	pick.Done(nil)
	return pick.ID
}

// calledBy returns whom two attempts go to that can't connect.
func calledBy(t testing.TB, picker *callsheet.Picker, key string) (called []string) {
	t.Helper()
	err := picker.CallKey(within(t), key, 2, func(_ context.Context, pick callsheet.Pick) error {
		called = append(called, pick.ID)
		return syscall.ECONNREFUSED
	})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	return called
}

func TestAKeyStaysWithItsInstance(t *testing.T) {
	memory, url := shared(t)
	for port := 1; port <= 10; port++ {
		put(t, memory, fmt.Sprintf("i%02d", port), port)
	}
	client := connect(t, url)
	for _, policy := range []callsheet.Policy{callsheet.RingHash, callsheet.Maglev} {
		picker := open(t, client, policy, callsheet.Ejection{Disabled: true})
		homes := map[string]bool{}
		for key := range 100 {
			key := fmt.Sprint(key)
			first := home(t, picker, key)
			waited, err := picker.PickKeyWait(within(t), key)
			must(t, err)
			waited.Done(nil)
			if waited.ID != first || home(t, picker, key) != first {
				t.Fatal(policy, key, first, waited.ID)
			}
			homes[first] = true
		}
		called := calledBy(t, picker, "7")
		if len(homes) < 6 || called[0] != home(t, picker, "7") || called[1] == called[0] || !slices.Equal(called, calledBy(t, picker, "7")) {
			t.Error(policy, homes, called)
		}
		home(t, picker, "")
	}
}

func TestWhoFailsIsEjectedUnlessToldOtherwise(t *testing.T) {
	memory, url := shared(t)
	for port := 1; port <= 3; port++ {
		put(t, memory, fmt.Sprintf("i%02d", port), port)
	}
	client := connect(t, url)
	strict := open(t, client, callsheet.RoundRobin, callsheet.Ejection{ConsecutiveFailures: 2})
	usual := open(t, client, callsheet.RoundRobin)
	never := open(t, client, callsheet.RoundRobin, callsheet.Ejection{Disabled: true})
	for _, picker := range []*callsheet.Picker{strict, usual, never} {
		for range 100 {
			pick, err := picker.Pick()
			must(t, err)
			if pick.ID == "i02" {
				pick.Done(errors.New("broken"))
			} else {
				pick.Done(nil)
			}
		}
	}
	out := []string{"i02"}
	eventually(t, "it is out", func() bool { return slices.Equal(strict.Ejected(), out) && slices.Equal(usual.Ejected(), out) })
	if strict.Len() != 2 || never.Len() != 3 || len(never.Ejected()) != 0 || client.Stats().Ejections != 2 {
		t.Error(strict.Len(), never.Len(), never.Ejected(), client.Stats().Ejections)
	}
}

func TestOptionsOfPickers(t *testing.T) {
	memory, url := shared(t)
	for port, zone := range []string{"a", "a", "b", "b"} {
		registration := callsheet.Registration{Service: "billing", Address: "10.0.0.1", Port: port + 1, Zone: zone}
		must(t, memory.Put(registration))
	}
	client := connect(t, url)
	for wanted, options := range map[int][]callsheet.PickerOption{
		1: {callsheet.Subset(1), callsheet.ClientID("pod-1"), callsheet.SlowStart(time.Second), nil},
		2: {callsheet.PreferZone("a"), callsheet.Ejection{StdevFactor: 2, Interval: time.Second}},
		4: {callsheet.PanicThreshold(0), callsheet.Healthy(false)},
	} {
		if picker := open(t, client, callsheet.P2C, options...); picker.Len() != wanted {
			t.Error(picker.Len(), wanted)
		}
	}
	for message, option := range map[string]callsheet.PickerOption{
		"subset 0":                      callsheet.Subset(0),
		"Subset -1":                     callsheet.Subset(-1),
		"panic_threshold 101":           callsheet.PanicThreshold(101),
		"slow_start":                    callsheet.SlowStart(2 * time.Hour),
		"prefer_zone":                   callsheet.PreferZone(strings.Repeat("z", 257)),
		"max_ejection_percent":          callsheet.Ejection{MaxEjectionPercent: 51},
		"RequestVolume -2":              callsheet.Ejection{RequestVolume: -2},
		"StdevFactor -1":                callsheet.Ejection{StdevFactor: -1},
		"preferred zone contains a NUL": callsheet.PreferZone("\x00"),
	} {
		_, err := client.Picker(within(t), "billing", callsheet.P2C, option)
		if !errors.Is(err, callsheet.ErrInvalidArgument) || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", message, err)
		}
	}
}
