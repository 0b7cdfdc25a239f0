// SPDX-License-Identifier: Apache-2.0
#include "box.h"

char **environment;

#define ENTRY(name) { #name, name##_main }
static const struct applet applets[] = {
	ENTRY(init), ENTRY(sh), ENTRY(cat), ENTRY(check), ENTRY(dmesg), ENTRY(echo), ENTRY(false), ENTRY(grep), ENTRY(halt),
	ENTRY(head), ENTRY(kill), ENTRY(ls), ENTRY(mkdir), ENTRY(mount), ENTRY(ps), ENTRY(rm), ENTRY(seq),
	ENTRY(sleep), ENTRY(stress), ENTRY(true), ENTRY(uname), ENTRY(uptime), ENTRY(wc), ENTRY(wild),
};

int main(int argc, char **argv, char **envp)
{
	const char *name = argc ? argv[0] : "";

	environment = envp;
	for (const char *s = name; *s; s++) {
		if (*s == '/')
			name = s + 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(applets); i++) {
		if (!strcmp(applets[i].name, name))
			return applets[i].run(argc, argv);
	}
	dprintf(2, "box: no command %s\n", name);
	return 127;
}
