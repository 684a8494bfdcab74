package live

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// TestReadPlatform wants one reading at a time, none while what is known is young enough,
// and another one after a reading that a refresh came too late for.
func TestReadPlatform(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group sync.WaitGroup
		var calls []bool
		var failure error
		p := platformReader{signal: watch.New()}
		p.read = func(_ context.Context, whole bool) (*status.Report, error) {
			calls = append(calls, whole)
			time.Sleep(time.Second)
			return &status.Report{Version: "v1"}, failure
		}
		refresh := func(whole bool, age time.Duration) { p.refresh(t.Context(), &group, whole, age) }
		check := func(what string, want ...bool) {
			t.Helper()
			group.Wait()
			if !slices.Equal(calls, want) || p.state.Reading {
				t.Fatalf("%s: readings %v, want %v; %+v", what, calls, want, p.state)
			}
		}
		refresh(false, time.Minute)
		refresh(false, time.Minute)
		check("two overviews", false)
		refresh(false, time.Minute)
		check("soon after", false)
		time.Sleep(time.Hour)
		refresh(false, time.Minute)
		check("later", false, false)
		refresh(true, time.Minute)
		check("with namespaces", false, false, true)
		refresh(true, 0)
		synctest.Wait()
		refresh(true, 0)
		refresh(true, 0)
		check("refreshed while reading", false, false, true, true, true)

		failure = errors.New("no")
		read := p.state.Read
		refresh(true, 0)
		group.Wait()
		if p.state.Report == nil || !p.state.Read.Equal(read) || !errors.Is(p.state.Err, failure) {
			t.Errorf("after a failure: %+v", p.state)
		}
	})
}
