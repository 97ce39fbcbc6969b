package host

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sandbar.dev/node/internal/hostinfo"
)

// What Podman with runc gives on a host with v1 controllers beside an empty unified hierarchy.
const v1Private = `600 590 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,mode=755
601 600 0:28 / /sys/fs/cgroup/cpu rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpu
602 600 0:29 / /sys/fs/cgroup/cpuacct rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpuacct
603 600 0:30 / /sys/fs/cgroup/cpuset rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpuset
604 600 0:31 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,memory
605 600 0:32 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,pids
606 600 0:33 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,name=systemd
`

const v1Members = `6:name=systemd:/
5:pids:/
4:memory:/
3:cpuset:/
2:cpuacct:/
1:cpu:/
0::/
`

const kernelV1 = `#subsys_name	hierarchy	num_cgroups	enabled
cpuset	3	4	1
cpu	1	4	1
cpuacct	2	4	1
memory	4	10	1
pids	5	10	1
freezer	0	1	1
hugetlb	0	1	0
`

func plan(mounts, members, kernel string) cgroupPlan {
	return planCgroups(parseMountinfo(mounts), parseMembership(members), parseControllers(kernel))
}

func TestPlanPrivateV1(t *testing.T) {
	got := plan(v1Private, v1Members, kernelV1)
	want := cgroupPlan{
		mode: hostinfo.CgroupV1,
		// The kernel has freezer and nobody mounted it; hugetlb is switched off.
		add:         []cgroupMount{{point: "/sys/fs/cgroup/freezer", options: "freezer"}},
		controllers: []string{"cpu", "cpuacct", "cpuset", "freezer", "memory", "pids"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestPlanReadOnlyV1(t *testing.T) {
	// Docker without privileges: everything is there and nothing can be written.
	got := plan(strings.ReplaceAll(v1Private, " rw,nosuid", " ro,nosuid"), v1Members, kernelV1)
	if len(got.remount) != 7 || got.remount[0].point != "/sys/fs/cgroup" || len(got.replace) != 0 {
		t.Errorf("remount %+v, replace %+v", got.remount, got.replace)
	}
}

func TestPlanSharedV1(t *testing.T) {
	// The host's own cgroup namespace: the engine binds the container's groups, /proc still tells their place.
	mounts := strings.ReplaceAll(v1Private, " / /sys/fs/cgroup/", " /machine/box /sys/fs/cgroup/")
	got := plan(mounts, strings.ReplaceAll(v1Members, ":/\n", ":/machine/box\n"), kernelV1)
	if !got.newNamespace {
		t.Error("no namespace of its own is asked for")
	}
	if len(got.replace) != 6 || got.replace[5].options != "name=systemd" || got.replace[0] != (cgroupMount{point: "/sys/fs/cgroup/cpu", options: "cpu"}) {
		t.Errorf("replace %+v", got.replace)
	}
}

func TestPlanHybrid(t *testing.T) {
	got := plan(v1Private+"607 600 0:34 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n",
		strings.Replace(v1Members, "0::/\n", "0::/elsewhere\n", 1), kernelV1)
	if got.mode != hostinfo.CgroupHybrid || got.newNamespace {
		t.Errorf("mode %s, new namespace %t", got.mode, got.newNamespace)
	}
}

func TestPlanCombinedControllers(t *testing.T) {
	mounts := strings.Replace(v1Private, "rw,cpu\n", "rw,cpu,cpuacct\n", 1)
	mounts = strings.Replace(mounts, "602 600 0:29 / /sys/fs/cgroup/cpuacct rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpuacct\n", "", 1)
	got := plan(mounts, v1Members, kernelV1)
	if len(got.add) != 1 || got.add[0].options != "freezer" || got.controllers[1] != "cpuacct" {
		t.Errorf("%+v", got)
	}
}

func TestPlanV2(t *testing.T) {
	const kernelV2 = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t90\t1\nmemory\t0\t90\t1\n"
	for _, c := range []struct {
		name, mounts, members string
		want                  cgroupPlan
	}{
		{
			"private and writable", "30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw\n", "0::/\n",
			cgroupPlan{mode: hostinfo.CgroupV2},
		},
		{
			"a second life in the leaf", "30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw\n", "0::/sandbar.init\n",
			cgroupPlan{mode: hostinfo.CgroupV2},
		},
		{
			"read-only", "30 20 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n", "0::/\n",
			cgroupPlan{mode: hostinfo.CgroupV2, remount: []mount{{
				root: "/", point: "/sys/fs/cgroup", options: []string{"ro", "nosuid"}, superOptions: []string{"rw"}, fsType: "cgroup2",
			}}},
		},
		{
			"the host's namespace", "30 20 0:26 /machine/box /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw\n", "0::/machine/box\n",
			cgroupPlan{
				mode: hostinfo.CgroupV2, newNamespace: true,
				replace: []cgroupMount{{point: "/sys/fs/cgroup", unified: true}},
			},
		},
		{
			"nothing mounted, as in a machine", "22 1 0:21 / /sys rw - sysfs sysfs rw\n", "0::/\n",
			cgroupPlan{mode: hostinfo.CgroupV2, add: []cgroupMount{{point: "/sys/fs/cgroup", unified: true}}},
		},
	} {
		if got := plan(c.mounts, c.members, kernelV2); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

// delegate on ordinary files: the kernel's part is played by what is read afterwards.
func TestDelegate(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"cgroup.procs": "7\n12\n", "cgroup.controllers": "pids memory cpu\n", "cgroup.subtree_control": "",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := delegate(root, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[cpu memory pids]" {
		t.Errorf("controllers %v", got)
	}
	// The last process that was moved, and the last controller that was handed down.
	for name, want := range map[string]string{"sandbar.init/cgroup.procs": "12", "cgroup.subtree_control": "+cpu"} {
		if data, err := os.ReadFile(filepath.Join(root, name)); err != nil || !strings.HasPrefix(string(data), want) {
			t.Errorf("%s: %q, %v; want %q", name, data, err, want)
		}
	}
}

func TestParseMountinfo(t *testing.T) {
	mounts := parseMountinfo("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\nnonsense\n\n")
	want := []mount{{
		root: "/mnt1", point: "/mnt 2", options: []string{"rw", "noatime"}, superOptions: []string{"rw", "errors=continue"}, fsType: "ext3",
	}}
	if !reflect.DeepEqual(mounts, want) {
		t.Errorf("got %+v", mounts)
	}
	if _, found := topmost(mounts, "/elsewhere"); found {
		t.Error("found what is not there")
	}
}
