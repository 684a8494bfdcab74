package rollback

import (
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

func TestBefore(t *testing.T) {
	// Each release with what it was rolled back to, newest first.
	records := func(numbers ...[2]int) (all []*record.Record) {
		for _, number := range numbers {
			all = append(all, &record.Record{App: "shop", Number: number[0], Info: record.Info{RollbackTo: number[1]}})
		}
		return all
	}
	for name, test := range map[string]struct {
		records []*record.Record
		live    int
		want    int
	}{
		"the one before":                     {records([2]int{3}, [2]int{2}, [2]int{1}), 3, 2},
		"a gap":                              {records([2]int{7}, [2]int{4}), 7, 4},
		"after a rollback":                   {records([2]int{4, 2}, [2]int{3}, [2]int{2}, [2]int{1}), 4, 1},
		"after a rollback of a rollback":     {records([2]int{5, 3}, [2]int{4, 2}, [2]int{3}, [2]int{2}, [2]int{1}), 5, 2},
		"after a release that did not apply": {records([2]int{4}, [2]int{3}, [2]int{2}), 3, 2},
		"the first":                          {records([2]int{1}), 1, 0},
		"nothing is known of the live one":   {records([2]int{1}), 0, 0},
	} {
		got, err := before(test.records, "shop", test.live)
		if (err != nil) != (test.want == 0) || (err == nil && got.Number != test.want) {
			t.Errorf("%s: %+v, %v, want %d", name, got, err, test.want)
		}
	}
}
