// How a picker chooses, and from whom.

package callsheet

// #include "shim.h"
import "C"

import (
	"strings"
	"time"
	"unsafe"
)

// Policy says how a picker chooses.
type Policy string

// Every policy.
const (
	// RoundRobin picks each in turn.
	RoundRobin Policy = "round_robin"
	// Random picks any.
	Random Policy = "random"
	// P2C picks the better of two random ones by peak EWMA of latency times calls under way: it adapts to slow instances.
	P2C Policy = "p2c"
	// Weighted picks each in turn, as often as its weight says.
	Weighted Policy = "weighted"
	// LeastOutstanding picks the one with the fewest calls under way for its weight.
	LeastOutstanding Policy = "least_outstanding"
	// RingHash picks the same instance for the same key ([Picker.PickKey]), on a ring: when an instance comes or goes, only
	// its own keys move.
	RingHash Policy = "ring_hash"
	// Maglev does the same with a table of 65,537 places: faster and more even than the ring.
	Maglev Policy = "maglev"
)

var policies = map[C.int32_t]Policy{
	C.CALLSHEET_POLICY_ROUND_ROBIN:       RoundRobin,
	C.CALLSHEET_POLICY_RANDOM:            Random,
	C.CALLSHEET_POLICY_P2C:               P2C,
	C.CALLSHEET_POLICY_WEIGHTED:          Weighted,
	C.CALLSHEET_POLICY_LEAST_OUTSTANDING: LeastOutstanding,
	C.CALLSHEET_POLICY_RING_HASH:         RingHash,
	C.CALLSHEET_POLICY_MAGLEV:            Maglev,
}

func unknownPolicy(policy Policy) *Error {
	var words []string
	for number := C.int32_t(1); int(number) <= len(policies); number++ {
		words = append(words, string(policies[number]))
	}
	return invalid("there is no policy %q; it is one of %s", policy, strings.Join(words, ", "))
}

// PickerOption is what [Client.Picker] takes besides a policy: every [Filter], and the options that are functions of this
// package.
type PickerOption interface {
	pick(set *picking)
}

// picking is what was given to [Client.Picker].
type picking struct {
	filters        []Filter
	preferZone     string
	subset         *int
	clientID       string
	ejection       *Ejection
	panicThreshold *int
	slowStart      *time.Duration
}

type pickerOption func(*picking)

func (option pickerOption) pick(set *picking) { option(set) }

func (f Filter) pick(set *picking) { set.filters = append(set.filters, f) }

// PreferZone prefers instances in this zone, as long as they can take their part: an instance there gets up to 1.4 times the
// average before calls go elsewhere too.
func PreferZone(zone string) PickerOption {
	return pickerOption(func(set *picking) { set.preferZone = zone })
}

// Subset picks only from so many of the instances, others in each client, so that not all clients keep connections to all
// instances. At least 1.
func Subset(size int) PickerOption {
	return pickerOption(func(set *picking) { set.subset = &size })
}

// ClientID names this client, such as by its pod, for it to have the same subset after a restart.
func ClientID(id string) PickerOption {
	return pickerOption(func(set *picking) { set.clientID = id })
}

// PanicThreshold sets the share of healthy instances, in percent, below which those that are warning, critical or ejected
// are used too. 0 to 100, 0 for never. Default: 50.
func PanicThreshold(percent int) PickerOption {
	return pickerOption(func(set *picking) { set.panicThreshold = &percent })
}

// SlowStart gives an instance that comes when others are known more and more calls, until it has its whole share after this
// time. Up to an hour. Default: 0.
func SlowStart(window time.Duration) PickerOption {
	return pickerOption(func(set *picking) { set.slowStart = &window })
}

// Ejection is a [PickerOption]: when an instance is not called for a while because calls to it fail, its circuit breaker. At
// most half of the instances are out at once; one that returns is out again if its first call fails. It needs reports. A
// zero stands for the default, which is also what holds without this option.
type Ejection struct {
	// Disabled ejects none.
	Disabled bool
	// ConsecutiveFailures is after how many failures in a row an instance is out, at once. Up to 1,000, negative for never.
	// Default: 5.
	ConsecutiveFailures int
	// StdevFactor is how far its success rate of an interval may be below the average, in standard deviations; it also has to
	// be 10 percentage points below, of at least four instances with enough calls. Up to 10. Default: 1.5.
	StdevFactor float64
	// RequestVolume is how many calls of an interval make its success rate count. Default: 20.
	RequestVolume int
	// Interval is the time over which success rates are taken. 100 ms to a day. Default: 10 s.
	Interval time.Duration
	// BaseEjectionTime is how long it is out the first time; twice as long the second time, and so on. 100 ms to a day.
	// Default: 30 s.
	BaseEjectionTime time.Duration
	// MaxEjectionTime is how long it is out at most. Up to a day. Default: 5 min.
	MaxEjectionTime time.Duration
	// MaxEjectionPercent is how many instances are out at once at most, rounded down. Up to 50. Default: 50.
	MaxEjectionPercent int
}

func (ejection Ejection) pick(set *picking) { set.ejection = &ejection }

func (ejection *Ejection) options(a *arguments) *C.callsheet_ejection_options_t {
	if ejection == nil {
		return nil
	}
	made := (*C.callsheet_ejection_options_t)(a.block(1, unsafe.Sizeof(C.callsheet_ejection_options_t{})))
	*made = C.cs_ejection_options()
	made.enabled = C.bool(!ejection.Disabled)
	switch {
	case ejection.ConsecutiveFailures < 0:
		made.consecutive_failures = 0
	case ejection.ConsecutiveFailures > 0:
		made.consecutive_failures = a.count("ConsecutiveFailures", ejection.ConsecutiveFailures)
	}
	if ejection.StdevFactor != 0 {
		made.stdev_factor = C.double(ejection.StdevFactor)
		if ejection.StdevFactor < 0 {
			a.refuse(invalid("StdevFactor %v is not allowed: use at least 0", ejection.StdevFactor))
		}
	}
	if ejection.RequestVolume != 0 {
		made.request_volume = a.count("RequestVolume", ejection.RequestVolume)
	}
	made.interval_ms = a.duration(ejection.Interval)
	made.base_ejection_time_ms = a.duration(ejection.BaseEjectionTime)
	made.max_ejection_time_ms = a.duration(ejection.MaxEjectionTime)
	if ejection.MaxEjectionPercent != 0 {
		made.max_ejection_percent = a.count("MaxEjectionPercent", ejection.MaxEjectionPercent)
	}
	return made
}

// count returns a number for C, where -1 stands for none.
func (a *arguments) count(name string, number int) C.int32_t {
	if number < 0 {
		a.refuse(invalid("%s %d is not allowed: use at least 0", name, number))
	}
	return C.int32_t(min(number, 1<<31-1))
}

// pickerOptions returns what was given to [Client.Picker] for C.
func pickerOptions(a *arguments, policy Policy, given []PickerOption) *C.callsheet_picker_options_t {
	var set picking
	for _, option := range given {
		if option != nil {
			option.pick(&set)
		}
	}
	made := (*C.callsheet_picker_options_t)(a.block(1, unsafe.Sizeof(C.callsheet_picker_options_t{})))
	*made = C.cs_picker_options()
	made.policy = number(policies, policy)
	if made.policy == 0 {
		a.refuse(unknownPolicy(policy))
	}
	made.filter, _ = filterOptions(a, set.filters)
	made.prefer_zone = a.optional("the preferred zone", set.preferZone)
	made.client_id = a.optional("the client's id", set.clientID)
	made.ejection = set.ejection.options(a)
	if set.subset != nil {
		made.subset = a.count("Subset", *set.subset)
	}
	if set.panicThreshold != nil {
		made.panic_threshold = a.count("PanicThreshold", *set.panicThreshold)
	}
	if set.slowStart != nil {
		made.slow_start_ms = a.duration(*set.slowStart)
	}
	return made
}
