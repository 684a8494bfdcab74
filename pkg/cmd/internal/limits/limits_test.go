package limits_test

import (
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/limits"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/install"
)

func TestFlags(t *testing.T) {
	all := func(flag string) bool { return flag != "build-host-users" }
	var request install.Request
	if err := (&limits.Flags{Memory: "8Gi", Quota: "10Gi"}).Read(&request, all); err != nil {
		t.Fatal(err)
	}
	if *request.BuildMemory != "8Gi" || *request.BuildStorage != "" || *request.RegistryQuota != "10Gi" {
		t.Errorf("the request is %+v", request)
	}
	request = install.Request{}
	if err := (&limits.Flags{}).Read(&request, func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	if request.BuildMemory != nil || request.BuildStorage != nil || request.RegistryQuota != nil {
		t.Errorf("without flags the request is %+v", request)
	}
	users := func(flag string) bool { return flag == "build-host-users" }
	if err := (&limits.Flags{HostUsers: "false"}).Read(&request, users); err != nil || request.HostUsers != manifests.HostUsersFalse {
		t.Errorf("the request is %+v, %v", request, err)
	}
	if err := (&limits.Flags{HostUsers: "maybe"}).Read(&request, users); err == nil || !strings.Contains(err.Error(), "auto, true, false") {
		t.Errorf("--build-host-users maybe: %v", err)
	}
	for flag, flags := range map[string]limits.Flags{
		"--build-memory much": {Memory: "much"}, "--build-storage -1Gi": {Storage: "-1Gi"}, "--registry-quota 0": {Quota: "0"},
	} {
		if err := flags.Read(&request, all); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
