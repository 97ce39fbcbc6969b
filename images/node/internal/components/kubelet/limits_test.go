package kubelet

import "testing"

func TestWithOwnLimitsAsksForNothingMore(t *testing.T) {
	o, err := withOwnLimits(testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if o.MaxOpenFiles == 0 {
		t.Error("no limit of open files was found")
	}
	again, err := withOwnLimits(Options{CanLowerOOMScore: true, OOMScore: -1, MaxOpenFiles: 7})
	if err != nil {
		t.Fatal(err)
	}
	if again.MaxOpenFiles != 7 || again.OOMScore != -1 {
		t.Errorf("what was given is changed: %+v", again)
	}
}
