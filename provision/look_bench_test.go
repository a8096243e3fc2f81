package provision_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// BenchmarkLook is all of an unchanged plan but starting the program and asking
// the engine. It grows with the number of services, not with its square.
func BenchmarkLook(b *testing.B) {
	for _, services := range []int{82, 300, 1000} {
		b.Run(fmt.Sprint(services), func(b *testing.B) {
			k := manyServices(b, services)
			for b.Loop() {
				if plan, loads := k.look(); loads != 0 || plan.Summary[stacks.ActionNone] != services {
					b.Fatalf("%d loads, %v", loads, plan.Summary)
				}
			}
		})
	}
}

// manyServices is a settled platform of four services a stack.
func manyServices(b *testing.B, services int) *keeping {
	k := &keeping{bench: newBench(b)}
	var names []string
	for i := 0; i < services; i += 4 {
		name := fmt.Sprintf("s%03d", i/4)
		names = append(names, name+": {}")
		text := "services:\n"
		for j := i; j < min(i+4, services); j++ {
			text += fmt.Sprintf("  app%d: {image: \"app:1\", volumes: [\"data%d:/d\"]}\n", j, j)
		}
		text += "volumes:\n"
		for j := i; j < min(i+4, services); j++ {
			text += fmt.Sprintf("  data%d: {}\n", j)
		}
		k.write("stacks/"+name+"/compose.yaml", text)
	}
	k.write("croft.yaml", "version: 1\nname: home\nadmin: {name: ada, email: ada@example.com}\nstacks: {"+strings.Join(names, ", ")+"}\n")
	k.p.Program = "the program"
	k.p.InputSum = func(names []string) (string, error) { return stacks.InputSum(os.DirFS(k.dir), names, k.options(nil)) }
	if _, err := k.p.Apply(context.Background(), k.full(), provision.ApplyOptions{}, nil); err != nil {
		b.Fatal(err)
	}
	if plan, _ := k.look(); !plan.Empty() {
		b.Fatal(plan)
	}
	return k
}
