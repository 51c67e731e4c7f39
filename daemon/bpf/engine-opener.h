/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading the process that opens a socket: what it is, where it belongs, what it executes. */

#include "daemon/bpf/engine-socket.h"

#define PID_LEVELS_MAX 32 /* as the kernel's MAX_PID_NS_LEVEL */
#define CGROUP_STEPS_MAX 12
#define CGROUP_NAME_MAX 128 /* with its NUL */
#define EXE_STEPS_MAX 48    /* of a path */
#define EXE_NAME_MAX 256    /* with its NUL */

const volatile struct record_settings settings;

/* ---- processes ---- */

/* The process's number in the loader's namespace; 0: it has none there. */
static __always_inline __u32 read_pid(struct task_struct *leader)
{
        struct pid *pid = BPF_CORE_READ(leader, thread_pid);
        __u32 level = BPF_CORE_READ(pid, level);
        void *numbers = (void *)pid + bpf_core_field_offset(struct pid, numbers);

        for (__u32 i = 0; i < PID_LEVELS_MAX; i++) {
                struct upid *number = numbers + i * bpf_core_type_size(struct upid);

                if (i > level)
                        break;
                if (BPF_CORE_READ(number, ns, ns.inum) == settings.pid_ns)
                        return (__u32)BPF_CORE_READ(number, nr);
        }
        return 0;
}

static __always_inline void read_holder(struct record_holder *record, struct task_struct *leader)
{
        record->started_nsec = BPF_CORE_READ(leader, start_boottime);
        record->pid = read_pid(leader);
        record->uid = BPF_CORE_READ(leader, real_cred, euid.val);
        bpf_core_read(record->comm, sizeof record->comm, &leader->comm);
}

/* ---- control groups ---- */

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *node)
{
        struct kernfs_node___6_14 *older = (void *)node;

        if (bpf_core_field_exists(node->__parent))
                return BPF_CORE_READ(node, __parent);
        return bpf_core_field_exists(older->parent) ? BPF_CORE_READ(older, parent) : NULL;
}

/* Its path, since it may be gone before anybody looks. */
static __always_inline void read_cgroup(struct record_cgroup *record, struct task_struct *leader)
{
        struct kernfs_node *node = BPF_CORE_READ(leader, cgroups, dfl_cgrp, kn);
        __u64 length = 0; /* as wide as a register: what is tested is what is used */

        record->id = BPF_CORE_READ(node, id);
        record->length = 0;
        for (int i = 0; i < CGROUP_STEPS_MAX; i++) {
                struct kernfs_node *parent = parent_of(node);
                long n;

                if (!parent) { /* the root has no name */
                        record->length = (__u16)length;
                        return;
                }
                if (length > RECORD_CGROUP_MAX - CGROUP_NAME_MAX)
                        return;
                n = bpf_probe_read_kernel_str(&record->path[length], CGROUP_NAME_MAX,
                                              BPF_CORE_READ(node, name));
                if (n <= 0 || n >= CGROUP_NAME_MAX)
                        return;
                length += (__u64)n;
                node = parent;
        }
}

/* ---- executables ---- */

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
        return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/* Where a walk up a path is. From the first step on, only helpers write to it: the verifier knows
 * nothing of it then, and does not try each way to come here anew. */
struct walk {
        struct dentry *dentry;
        struct mount *mount;
        struct dentry *top; /* of the mount */
};

static __always_inline void set_mount(struct walk *walk, struct mount *mount)
{
        bpf_core_read(&walk->top, sizeof walk->top, &mount->mnt.mnt_root);
}

/* From the top of a mount to where it is mounted. False where there is nothing above. */
static __always_inline bool leave_mount(struct walk *walk)
{
        struct mount *mount = walk->mount;

        if ((__u32)BPF_CORE_READ(mount, mnt_id) == settings.root_mount)
                return false;
        bpf_core_read(&walk->dentry, sizeof walk->dentry, &mount->mnt_mountpoint);
        bpf_core_read(&walk->mount, sizeof walk->mount, &mount->mnt_parent);
        set_mount(walk, walk->mount);
        return walk->mount != mount;
}

/* Goes from the file up to the loader's root or, in other mount namespaces, to the top of all
 * mounts: what d_path() does for a reader of /proc/PID/exe. Each step is a name or a mount point.
 */
static __always_inline void read_path(struct record_exe *exe, struct file *file)
{
        __u64 length = 0; /* as wide as a register: what is tested is what is used */
        struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
        struct walk walk = {.mount = mount_of(mnt)};
        struct dentry *leaf;

        bpf_core_read(&walk.dentry, sizeof walk.dentry, &file->f_path.dentry);
        set_mount(&walk, walk.mount);
        leaf = walk.dentry;
        if (leaf != walk.top && !BPF_CORE_READ(leaf, d_hash.pprev))
                exe->flags = RECORD_EXE_DELETED;
        for (int i = 0; i < EXE_STEPS_MAX; i++) {
                struct dentry *dentry = walk.dentry;
                long n;

                exe->length = (__u16)length;
                if (dentry == walk.top) {
                        if (!leave_mount(&walk))
                                return;
                        continue;
                }
                if (length > RECORD_EXE_MAX - EXE_NAME_MAX)
                        break;
                n = bpf_probe_read_kernel_str(&exe->path[length], EXE_NAME_MAX,
                                              BPF_CORE_READ(dentry, d_name.name));
                if (n <= 0 || n > EXE_NAME_MAX)
                        break;
                length += (__u64)n;
                bpf_core_read(&walk.dentry, sizeof walk.dentry, &dentry->d_parent);
                if (dentry == walk.dentry) { /* stands alone: a file in memory */
                        exe->flags = RECORD_EXE_UNNAMED;
                        exe->length = (__u16)length;
                        return;
                }
        }
        exe->flags |= RECORD_EXE_TRUNCATED;
}

static __always_inline void read_exe(struct record_exe *exe, struct task_struct *task)
{
        struct file *file = BPF_CORE_READ(task, mm, exe_file);

        exe->inode = 0;
        exe->device = 0;
        exe->length = 0;
        exe->flags = 0;
        if (!file) /* a thread of the kernel */
                return;
        exe->inode = BPF_CORE_READ(file, f_inode, i_ino);
        exe->device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
        read_path(exe, file);
}
