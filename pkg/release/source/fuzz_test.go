package source

import "testing"

func FuzzParse(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: List\nitems: []\n"))
	f.Add([]byte("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		objects, err := Parse("x.yaml", text)
		if err != nil && len(objects) > 0 {
			t.Errorf("%d objects and %v", len(objects), err)
		}
	})
}
