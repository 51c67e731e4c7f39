/* SPDX-License-Identifier: MIT */
/* portwatchctl. Everything is in the library, where tests can link it. */

#include "ctl/ctl.h"

int main(int argc, char **argv)
{
        return pw_ctl_main(argc, argv);
}
