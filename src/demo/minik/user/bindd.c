/* SPDX-License-Identifier: Apache-2.0 */
/* /bin/bindd: announces itself to the binder and goes. */
#include "libc.h"

int main(int argc, char **argv, char **envp)
{
	long fd = open("/dev/binder", 2);

	(void)argc;
	(void)argv;
	(void)envp;
	if (fd < 0) {
		printf("bindd: no binder\n");
		return 1;
	}
	printf("bindd: ready\n");
	return 0;
}
