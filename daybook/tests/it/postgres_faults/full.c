/* While the file that DISK_FULL names is there, no file grows whose path holds what is in it: as on a disk
   without room, what is already there can be written over. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int grows(int fd, off_t offset, size_t bytes) {
    char link[64], path[4096], part[64];
    struct stat file;
    const char *flag = getenv("DISK_FULL");
    int saved = errno, told = flag ? open(flag, O_RDONLY | O_CLOEXEC) : -1;
    if (told < 0) {
        errno = saved;
        return 0;
    }
    ssize_t length = read(told, part, sizeof part - 1);
    close(told);
    errno = saved;
    if (length <= 0) return 0;
    part[length] = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (length <= 0) return 0;
    path[length] = 0;
    if (!strstr(path, part) || fstat(fd, &file) || !S_ISREG(file.st_mode)) return 0;
    if (offset < 0) offset = lseek(fd, 0, SEEK_CUR);
    return offset + (off_t)bytes > file.st_size;
}

static size_t all(const struct iovec *parts, int count) {
    size_t bytes = 0;
    for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
    return bytes;
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))
#define FULL return errno = ENOSPC, -1

ssize_t write(int fd, const void *from, size_t bytes) {
    if (grows(fd, -1, bytes)) FULL;
    return REAL(write)(fd, from, bytes);
}
ssize_t pwrite(int fd, const void *from, size_t bytes, off_t at) {
    if (grows(fd, at, bytes)) FULL;
    return REAL(pwrite)(fd, from, bytes, at);
}
ssize_t pwrite64(int fd, const void *from, size_t bytes, off64_t at) {
    if (grows(fd, at, bytes)) FULL;
    return REAL(pwrite64)(fd, from, bytes, at);
}
ssize_t writev(int fd, const struct iovec *from, int count) {
    if (grows(fd, -1, all(from, count))) FULL;
    return REAL(writev)(fd, from, count);
}
ssize_t pwritev(int fd, const struct iovec *from, int count, off_t at) {
    if (grows(fd, at, all(from, count))) FULL;
    return REAL(pwritev)(fd, from, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *from, int count, off64_t at) {
    if (grows(fd, at, all(from, count))) FULL;
    return REAL(pwritev64)(fd, from, count, at);
}
int fallocate(int fd, int mode, off_t at, off_t bytes) {
    if (grows(fd, at, bytes)) FULL;
    return REAL(fallocate)(fd, mode, at, bytes);
}
int fallocate64(int fd, int mode, off64_t at, off64_t bytes) {
    if (grows(fd, at, bytes)) FULL;
    return REAL(fallocate64)(fd, mode, at, bytes);
}
/* These two answer with the error itself. */
int posix_fallocate(int fd, off_t at, off_t bytes) {
    return grows(fd, at, bytes) ? ENOSPC : REAL(posix_fallocate)(fd, at, bytes);
}
int posix_fallocate64(int fd, off64_t at, off64_t bytes) {
    return grows(fd, at, bytes) ? ENOSPC : REAL(posix_fallocate64)(fd, at, bytes);
}
