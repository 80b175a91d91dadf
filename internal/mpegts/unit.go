package mpegts

// unit is one PES packet, or, without frames, a packet with a clock reference.
type unit struct {
	input        int
	first, count int   // frames
	at           int64 // where they begin in the payload
	bytes        int64 // their length in the payload
	picture      picture
	pts, dts     int64
	clock        bool
	pcr          int64
	entry        bool
	size         int64 // of the PES packet, header included
	packets      int64
}

// measure sets the size of a PES packet with n bytes of stream. Its first transport packet has the
// given room.
func (u *unit) measure(n, room int64) {
	u.size = u.headerSize() + n
	u.packets = packetsOf(u.size, room)
}

func (u *unit) headerSize() int64 {
	if u.pts != u.dts {
		return pesBoth
	}
	return pesHeader
}

func packetsOf(size, room int64) int64 {
	return 1 + max(0, size-room+roomPlain-1)/roomPlain
}

// mostPackets returns how many packets the unit can be spread over: its header stays whole, and
// each packet has payload.
func (u *unit) mostPackets() int64 { return 1 + u.size - u.headerSize() }

// fill spreads the last PES packets of a PID, but not the first keep ones, over more packets until
// their number is a multiple of sixteen. A fragment with too few bytes for that falls short of it.
func fill(units []unit, keep int) {
	var n int64
	for i := range units {
		n += units[i].packets
	}
	missing := -n & 15
	for i := len(units) - 1; i >= keep && missing > 0; i-- {
		u := &units[i]
		more := max(0, min(missing, u.mostPackets()-u.packets))
		u.packets += more
		missing -= more
	}
}

// merge puts the units in order of their decode times, but the first picture first. It sets the
// clock half a second before what comes next. Where pictures are rare, it adds packets that have
// only the clock.
func merge(pictures, sounds []unit) []unit {
	all := make([]unit, 0, len(pictures)+len(sounds))
	clock, running := int64(0), false
	for p, a := 0, 0; p < len(pictures) || a < len(sounds); {
		var u unit
		var now int64
		switch {
		case p == len(pictures):
			u, now = sounds[a], sounds[a].dts
			a++
		case a == len(sounds):
			u, now = pictures[p], pictures[p].dts
			p++
		default:
			now = min(pictures[p].dts, sounds[a].dts)
			if p == 0 || pictures[p].dts <= sounds[a].dts {
				u = pictures[p]
				p++
			} else {
				u = sounds[a]
				a++
			}
		}
		now -= clockLead
		if !running && !u.clock { // of a track that has no frames here
			all = append(all, unit{input: 0, clock: true, pcr: now, packets: 1})
			clock, running = now, true
		}
		if running && now-clock <= maxClockGap {
			for now-clock > clockInterval {
				clock += clockInterval
				all = append(all, unit{input: 0, clock: true, pcr: clock, packets: 1})
			}
		}
		if u.clock {
			u.pcr, clock, running = now, now, true
		}
		all = append(all, u)
	}
	return all
}
