package live

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestShared wants one follower for all viewers, until a while after the last one.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shared[int]
		started, stopped := 0, 0
		take := func() (int, func()) {
			return s.take("web", func() (int, context.CancelFunc) { started++; return started, func() { stopped++ } })
		}
		_, first := take()
		_, second := take()
		first()
		first()
		time.Sleep(2 * linger)
		second()
		time.Sleep(linger / 2)
		again, third := take()
		third()
		time.Sleep(linger / 2)
		if again != 1 || stopped != 0 {
			t.Errorf("follower %d, %d stopped", again, stopped)
		}
		time.Sleep(linger)
		if next, _ := take(); next != 2 || stopped != 1 {
			t.Errorf("follower %d, %d stopped", next, stopped)
		}
	})
}
