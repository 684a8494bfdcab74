package status

import "testing"

func TestPlatformSummary(t *testing.T) {
	unknown := Part{Name: "tekton", Unknown: true}
	pipeline := Part{Name: "pipeline", Version: "v1.2.0", Healthy: true}
	registry := Part{Name: "registry"}
	for name, test := range map[string]struct {
		parts   []Part
		healthy bool
		line    string
	}{
		"healthy":    {[]Part{unknown, pipeline}, true, "Platform v1.2.0 healthy (1 part)"},
		"unhealthy":  {[]Part{registry, pipeline}, false, "Platform v1.2.0 not healthy: registry"},
		"no version": {[]Part{{Name: "kubernetes", Healthy: true}, {Name: "namespace", Healthy: true}}, true, "Platform healthy (2 parts)"},
	} {
		t.Run(name, func(t *testing.T) {
			status := &Status{Platform: test.parts}
			if healthy, line := status.PlatformSummary(); healthy != test.healthy || line != test.line {
				t.Errorf("got %t, %q, want %t, %q", healthy, line, test.healthy, test.line)
			}
			if got := status.Readable(); len(got) > len(test.parts) || got[0].Unknown {
				t.Errorf("readable parts are %+v", got)
			}
		})
	}
}
