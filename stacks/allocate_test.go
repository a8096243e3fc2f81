package stacks

import (
	"net/netip"
	"testing"
)

func TestAllocateKeepsWhatItGave(t *testing.T) {
	needs := []NetworkNeed{{Key: "hello-front", Hosts: 2}, {Key: "big/default", Hosts: 40}}
	first, err := Allocate(Lock{}, "home", needs, nil)
	if err != nil {
		t.Fatal(err)
	}
	more := append([]NetworkNeed{{Key: "a-first-by-name", Hosts: 1}}, needs...)
	second, err := Allocate(first, "home", more, nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, cidr := range first.Subnets {
		if second.Subnets[key] != cidr {
			t.Errorf("%s moved from %s to %s", key, cidr, second.Subnets[key])
		}
	}
	var all []netip.Prefix
	for _, cidr := range second.Subnets {
		p := netip.MustParsePrefix(cidr)
		for _, q := range all {
			if q.Overlaps(p) {
				t.Errorf("%s overlaps %s", p, q)
			}
		}
		all = append(all, p)
	}
	if bits := netip.MustParsePrefix(second.Subnets["big/default"]).Bits(); bits > 24 {
		t.Errorf("40 containers got a /%d: its upper half has no room for as many again", bits)
	}
}

func TestAllocateAvoidsTheHost(t *testing.T) {
	host := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("0.0.0.0/0")}
	lock, err := Allocate(Lock{}, "home", []NetworkNeed{{Key: "x", Hosts: 1}}, host)
	if err != nil {
		t.Fatal(err)
	}
	if got := netip.MustParsePrefix(lock.Subnets["x"]); got.Overlaps(host[0]) {
		t.Errorf("%s lies in a network the host reaches", got)
	}
}

func TestAllocateStepsAroundAnotherPlatform(t *testing.T) {
	first, err := Allocate(Lock{}, "home", []NetworkNeed{{Key: "x", Hosts: 1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := netip.MustParsePrefix(first.Subnets["x"])
	second, err := Allocate(Lock{}, "home", []NetworkNeed{{Key: "x", Hosts: 1}}, []netip.Prefix{other})
	if err != nil {
		t.Fatal(err)
	}
	if netip.MustParsePrefix(second.Subnets["x"]).Overlaps(other) {
		t.Error("gave a subnet that the host already reaches")
	}
}

func TestFixedAddressesAndTheEnginesOwnNeverMeet(t *testing.T) {
	plan, err := PlanSubnet("10.213.4.32/27")
	if err != nil {
		t.Fatal(err)
	}
	want := SubnetPlan{Subnet: "10.213.4.32/27", Gateway: "10.213.4.33", Dynamic: "10.213.4.48/28"}
	if plan != want {
		t.Errorf("got %+v, want %+v", plan, want)
	}
	dynamic := netip.MustParsePrefix(plan.Dynamic)
	given := 0
	for n := 0; ; n++ {
		a, err := FixedAddress(plan.Subnet, n)
		if err != nil {
			break
		}
		given++
		if dynamic.Contains(netip.MustParseAddr(a)) {
			t.Errorf("fixed address %s is one the engine gives", a)
		}
	}
	if given != 14 {
		t.Errorf("%d fixed addresses in a /27, want 14", given)
	}
}

func TestAllocateSaysWhenTheRangeIsFull(t *testing.T) {
	lock := Lock{Range: "10.213.0.0/27", Subnets: map[string]string{"a": "10.213.0.0/27"}}
	if _, err := Allocate(lock, "home", []NetworkNeed{{Key: "b", Hosts: 1}}, nil); err == nil {
		t.Error("no error, and no subnet is left")
	}
}

func TestAdoptSubnetsAfterTheLockWasLost(t *testing.T) {
	needs := []NetworkNeed{{Key: "hello-front", Hosts: 2}, {Key: "app/default", Hosts: 2}}
	given, err := Allocate(Lock{}, "home", needs, []netip.Prefix{netip.MustParsePrefix("10.213.0.0/16")})
	if err != nil {
		t.Fatal(err)
	}
	front, own := given.Subnets["hello-front"], given.Subnets["app/default"]
	networks := []Network{
		{Name: "home-hello-front", Subnet: front, Labels: map[string]string{LabelPlatform: "home", LabelNetwork: "hello-front", LabelSubnet: front}},
		{Name: "home-app_default", Subnet: own, Labels: map[string]string{"com.docker.compose.project": "home-app", "com.docker.compose.network": "default"}},
		{Name: "x", Subnet: "10.1.0.0/24", Labels: map[string]string{LabelPlatform: "home-lab", LabelNetwork: "big", LabelSubnet: "10.1.0.0/24"}},
		{Name: "home-false", Subnet: "10.2.0.0/24", Labels: map[string]string{LabelPlatform: "home", LabelNetwork: "false", LabelSubnet: "10.3.0.0/24"}},
		{Name: "home-by-name", Subnet: "10.4.0.0/24"},
	}
	lock := AdoptSubnets(Lock{}, "home", networks)
	if lock.Range != given.Range || len(lock.Subnets) != 2 {
		t.Errorf("adopted %+v, given was %+v", lock, given)
	}
	// The host reaches them all, and they are taken all the same.
	again, err := Allocate(lock, "home", append(needs, NetworkNeed{Key: "new", Hosts: 1}), []netip.Prefix{netip.MustParsePrefix(front), netip.MustParsePrefix(own)})
	if err != nil {
		t.Fatal(err)
	}
	if again.Subnets["hello-front"] != front || again.Subnets["app/default"] != own {
		t.Errorf("they moved: %v", again.Subnets)
	}
	if kept := AdoptSubnets(given, "home", []Network{{Subnet: "10.9.0.0/24", Labels: map[string]string{LabelPlatform: "home", LabelNetwork: "hello-front", LabelSubnet: "10.9.0.0/24"}}}); kept.Subnets["hello-front"] != front {
		t.Error("what the lock holds was overwritten")
	}
}
