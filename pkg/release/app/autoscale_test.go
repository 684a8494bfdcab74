package app_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

func TestParseAutoscale(t *testing.T) {
	for text, want := range map[string]app.Autoscale{
		"max=6":              {Max: 6},
		"cpu=70,max=6,min=2": {Min: 2, Max: 6, CPU: 70},
		"min=2,max=2":        {Min: 2, Max: 2},
	} {
		if got, err := app.ParseAutoscale(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	if got := (app.Autoscale{Max: 6}).String(); got != "min=1,max=6,cpu=80" {
		t.Errorf("the defaults are %s", got)
	}
	for text, want := range map[string]string{
		"":                  `"" is not of the form min=NUMBER`,
		"6":                 `"6" is not of the form`,
		"max=0":             `"max=0" is not of the form`,
		"max=many":          `"max=many" is not of the form`,
		"max=6,memory=70":   `"memory=70" is not of the form`,
		"max=6,max=7":       "max is given twice",
		"min=2":             "max is missing",
		"min=3,max=2":       "min is 3, more than the max of 2",
		"max=2,cpu=20000":   "cpu is 20000: it is percent",
		"max=99999999999":   `"max=99999999999" is not of the form`,
		"max=2,min=1,cpu=-": `"cpu=-" is not of the form`,
	} {
		if _, err := app.ParseAutoscale(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestParseNetworkPolicy(t *testing.T) {
	for text, want := range map[string]app.NetworkPolicy{
		"true": {Enabled: true}, "false": {}, "ingress-nginx,monitoring": {Enabled: true, Namespaces: []string{"ingress-nginx", "monitoring"}},
	} {
		got, err := app.ParseNetworkPolicy(text)
		if err != nil || !reflect.DeepEqual(got, want) || got.String() != text {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "a,", "A", "a b"} {
		if _, err := app.ParseNetworkPolicy(text); err == nil || !strings.Contains(err.Error(), "is not the name of a namespace") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
