package buildview

// logged is a line that a step or a pod wrote.
type logged struct{ source, text string }

// ring keeps the newest of any number of lines.
type ring struct {
	lines []logged
	// next is where the next line goes once there are as many as there can be.
	next int
}

func newRing(size int) ring { return ring{lines: make([]logged, 0, size)} }

func (r *ring) add(line logged) {
	if len(r.lines) < cap(r.lines) {
		r.lines = append(r.lines, line)
		return
	}
	r.lines[r.next] = line
	r.next = (r.next + 1) % len(r.lines)
}

// last returns the newest lines, at most n, oldest first.
func (r *ring) last(n int) []logged {
	n = min(n, len(r.lines))
	lines := make([]logged, 0, n)
	for i := len(r.lines) - n; i < len(r.lines); i++ {
		lines = append(lines, r.lines[(r.next+i)%len(r.lines)])
	}
	return lines
}

func (r *ring) clear() {
	clear(r.lines)
	r.lines, r.next = r.lines[:0], 0
}
