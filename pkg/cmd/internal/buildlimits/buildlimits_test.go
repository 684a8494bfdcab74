package buildlimits_test

import (
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/buildlimits"
)

func TestFlags(t *testing.T) {
	all := func(string) bool { return true }
	memory, storage, err := (&buildlimits.Flags{Memory: "8Gi"}).Parse(all)
	if err != nil || *memory != "8Gi" || *storage != "" {
		t.Errorf("the limits are %v and %v, %v", memory, storage, err)
	}
	memory, storage, err = (&buildlimits.Flags{}).Parse(func(string) bool { return false })
	if err != nil || memory != nil || storage != nil {
		t.Errorf("without flags the limits are %v and %v, %v", memory, storage, err)
	}
	for flag, limits := range map[string]buildlimits.Flags{"--build-memory much": {Memory: "much"}, "--build-storage -1Gi": {Storage: "-1Gi"}} {
		if _, _, err := limits.Parse(all); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
