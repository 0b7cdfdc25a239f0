/* SPDX-License-Identifier: Apache-2.0 */
/* /bin/hello: a program that only says so, with its arguments. */
#include "libc.h"

int main(int argc, char **argv, char **envp)
{
	(void)envp;
	printf("hello from pid %d:", (int)getpid());
	for (int i = 0; i < argc; i++)
		printf(" %s", argv[i]);
	printf("\n");
	return 0;
}
