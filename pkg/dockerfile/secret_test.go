package dockerfile

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecrets(t *testing.T) {
	d, err := Parse("Dockerfile", []byte(`FROM a AS base
ARG NAME=key
RUN --mount=type=secret,id=token true
RUN --mount=type=secret,target=/etc/pip.conf --mount=type=cache,target=/c true
FROM b AS other
RUN --mount=type=secret,id=unused,required=true true
FROM base AS test
RUN --mount=type=secret,id=tests,env=TESTS true
FROM base
RUN --mount=type=secret,id=token,env=TOKEN,required=true --mount=type=secret,id=${NAME},required true
`))
	if err != nil {
		t.Fatal(err)
	}
	app := []SecretMount{
		{ID: "token", Variable: "TOKEN", Required: true, Line: 10}, {ID: "pip.conf", Line: 4}, {ID: "key", Required: true, Line: 10},
	}
	for name, test := range map[string]struct {
		targets []string
		want    []SecretMount
	}{
		"the last stage":    {[]string{""}, app},
		"an earlier stage":  {[]string{"base"}, []SecretMount{{ID: "token", Line: 3}, {ID: "pip.conf", Line: 4}}},
		"with the tests":    {[]string{"", "test"}, []SecretMount{app[0], app[1], {ID: "tests", Variable: "TESTS", Line: 8}, app[2]}},
		"no target at all":  {nil, nil},
		"a stage by number": {[]string{"1"}, []SecretMount{{ID: "unused", Required: true, Line: 6}}},
	} {
		if diff := cmp.Diff(test.want, d.Secrets(test.targets...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
