/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over every file of its corpus: the driver where libFuzzer is not linked. Fails
 * when the corpus is missing or empty, so that it cannot pass by testing nothing. */

#include <portwatch/base.h>

#include <dirent.h>
#include <fcntl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
        static char buffer[1 << 20];
        size_t files = 0;

        for (int i = 1; i < argc; i++) {
                DIR *dir = opendir(argv[i]);

                if (!dir) {
                        perror(argv[i]);
                        return 1;
                }
                for (struct dirent *entry; (entry = readdir(dir));) {
                        ssize_t length;

                        if (entry->d_name[0] == '.')
                                continue;
                        length = pw_read_file(dirfd(dir), entry->d_name, buffer, sizeof buffer);
                        if (length < 0) {
                                fprintf(stderr, "%s/%s: %s\n", argv[i], entry->d_name,
                                        strerror((int)-length));
                                return 1;
                        }
                        LLVMFuzzerTestOneInput((const uint8_t *)buffer, (size_t)length);
                        files++;
                }
                closedir(dir);
        }
        printf("%zu inputs\n", files);
        return files > 0 ? 0 : 1;
}
