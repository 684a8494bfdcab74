package junit

import (
	"reflect"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(`<testsuite tests="1"><testcase name="a" time="0.1"><failure message="m">x</failure></testcase></testsuite>`))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "b">]><testsuites><testsuite name="&a;"/></testsuites>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		results, err := Parse(data)
		again, errAgain := Parse(data)
		if (err == nil) != (errAgain == nil) || !reflect.DeepEqual(results, again) {
			t.Errorf("two results: %+v and %+v", results, again)
		}
	})
}
