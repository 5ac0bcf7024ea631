// What a client counts.

package callsheet

// #include "shim.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Stats is what a client has done and holds. The first nine counts are as of the call; the others only grow.
type Stats struct {
	// Registry is the registry's URL, without secrets.
	Registry string
	// Registrations that are not closed.
	Registrations uint64
	// Registered is how many of these the registry holds now.
	Registered uint64
	// WatchedServices are being followed for watches, pickers and recent lookups.
	WatchedServices uint64
	// LiveServices is how many of these are live.
	LiveServices uint64
	// StaleServices is how many show the registry's last list, as it is away or refuses.
	StaleServices uint64
	// DiskServices is how many show a list that was saved on disk.
	DiskServices uint64
	// FallbackServices is how many show what a fallback registry says.
	FallbackServices uint64
	// Subscribers are the watches, channels and pickers that are open.
	Subscribers uint64
	// BreakerOpen is 1 while the circuit breaker is open: all requests but one in a while fail at once.
	BreakerOpen uint64
	// RetryBudget counts requests that failed and may be made again now, while others succeed: at most 100.
	RetryBudget uint64
	// Publishes counts how often a registration was written to the registry.
	Publishes uint64
	// PublishFailures counts tries of that which failed.
	PublishFailures uint64
	// Losses counts registrations that the registry lost or somebody deleted.
	Losses uint64
	// Superseded counts registrations that another live process took over.
	Superseded uint64
	// Loads counts whole reads of a service.
	Loads uint64
	// LoadFailures counts reads that failed, and follows that broke.
	LoadFailures uint64
	// Reloads counts how often a service could not be followed on and was read again and compared.
	Reloads uint64
	// Snapshots counts those that were made.
	Snapshots uint64
	// Skipped counts snapshots that a slow subscriber did not take before the next one came.
	Skipped uint64
	// EmptyHeld counts empty lists held back because nothing proved them.
	EmptyHeld uint64
	// Undecodable counts values under a service's name that are no instance.
	Undecodable uint64
	// DiskLoads counts how often a saved list was shown, as the registry could not be read.
	DiskLoads uint64
	// FallbackLoads counts how often a fallback registry's list was shown, as the registry could not be read.
	FallbackLoads uint64
	// BreakerOpened counts how often the circuit breaker opened, after failures in a row.
	BreakerOpened uint64
	// HeldBack counts requests that were not made, as the circuit breaker was open or the retry
	// budget spent.
	HeldBack uint64
	// Ejections counts how often a picker ejected an instance, because calls to it failed.
	Ejections uint64
	// IdleDropped counts watched services dropped because nobody used them.
	IdleDropped uint64
	// CallbackFailures is 0: Go is not called back.
	CallbackFailures uint64
	// LogDropped counts lines not handed to the logger because they came too fast.
	LogDropped uint64
}

// Stats returns what the client has done and holds; once it is closed, as it was then.
func (c *Client) Stats() Stats {
	defer runtime.KeepAlive(c)
	if stats, open := c.conn.stats(); open {
		return stats
	}
	return c.conn.final
}

func (c *conn) stats() (Stats, bool) {
	read := C.cs_stats()
	open := c.client.use(func(ptr unsafe.Pointer) { C.callsheet_stats((*C.callsheet_client_t)(ptr), &read, nil) })
	return Stats{
		Registry:         c.source,
		Registrations:    uint64(read.registrations),
		Registered:       uint64(read.registered),
		WatchedServices:  uint64(read.watched_services),
		LiveServices:     uint64(read.live_services),
		StaleServices:    uint64(read.stale_services),
		DiskServices:     uint64(read.disk_services),
		FallbackServices: uint64(read.fallback_services),
		Subscribers:      uint64(read.subscribers),
		BreakerOpen:      uint64(read.breaker_open),
		RetryBudget:      uint64(read.retry_budget),
		Publishes:        uint64(read.publishes),
		PublishFailures:  uint64(read.publish_failures),
		Losses:           uint64(read.losses),
		Superseded:       uint64(read.superseded),
		Loads:            uint64(read.loads),
		LoadFailures:     uint64(read.load_failures),
		Reloads:          uint64(read.reloads),
		Snapshots:        uint64(read.snapshots),
		Skipped:          uint64(read.skipped),
		EmptyHeld:        uint64(read.empty_held),
		Undecodable:      uint64(read.undecodable),
		DiskLoads:        uint64(read.disk_loads),
		FallbackLoads:    uint64(read.fallback_loads),
		BreakerOpened:    uint64(read.breaker_opened),
		HeldBack:         uint64(read.held_back),
		Ejections:        uint64(read.ejections),
		IdleDropped:      uint64(read.idle_dropped),
		CallbackFailures: uint64(read.callback_failures),
		LogDropped:       uint64(read.log_dropped),
	}, open
}
