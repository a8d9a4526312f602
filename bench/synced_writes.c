/* How fast the disk alone would let a receiver be: one process per association, each data set from the socket to a
   file, synced, then acknowledged. Nothing is checked, parsed or remembered. Only the benchmarks' own sender may talk
   to it: the answer to every association request is a file of bytes.

   synced_writes PORT FOLDER file|file-and-folder ACCEPT
     file             write, fsync
     file-and-folder  write under another name, fsync, rename, fsync of the folder: the order that is safe everywhere
     ACCEPT           holds the A-ASSOCIATE-AC PDU */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { P_DATA = 4, RELEASE_RQ = 5, PDU_HEADER = 6, PDV_HEADER = 6, COMMAND = 1, LAST = 2, LARGEST_PDU = 131072 };

static unsigned char pdu[PDU_HEADER + LARGEST_PDU];
static unsigned char accept_pdu[4096];
static ssize_t accept_length;

/* Success to a C-STORE (PS3.7 9.3.1.2); bytes MESSAGE_ID and the next are the message ID. */
enum { CONTEXT_ID = 10, MESSAGE_ID = 42 };
static unsigned char answer[] = {
    4, 0, 0, 0, 0, 58, 0, 0, 0, 54, 1, 3,          /* P-DATA-TF, PDV: command, last */
    0, 0, 0, 0, 4, 0, 0, 0, 40, 0, 0, 0,           /* group length */
    0, 0, 0, 1, 2, 0, 0, 0, 1, 0x80,               /* C-STORE-RSP */
    0, 0, 0x20, 1, 2, 0, 0, 0, 0, 0,               /* message ID being responded to */
    0, 0, 0, 8, 2, 0, 0, 0, 1, 1,                  /* no data set */
    0, 0, 0, 9, 2, 0, 0, 0, 0, 0};                 /* status */

static int read_all(int peer, void *to, size_t length) {
  return recv(peer, to, length, MSG_WAITALL) == (ssize_t)length;
}

static void write_all(int fd, const unsigned char *from, size_t length) {
  while (length) {
    ssize_t written = write(fd, from, length);
    if (written < 0) err(1, "write");
    from += written;
    length -= (size_t)written;
  }
}

/* Returns the length of the body, 0 when the peer has gone. */
static uint32_t read_pdu(int peer) {
  if (!read_all(peer, pdu, PDU_HEADER)) return 0;
  uint32_t length;
  memcpy(&length, pdu + 2, 4);
  length = ntohl(length);
  if (length > LARGEST_PDU) errx(1, "a PDU of %u bytes", length);
  return read_all(peer, pdu + PDU_HEADER, length) ? length : 0;
}

static void finish(int fd, int folder_fd, const char *name, int sync_folder) {
  if (fsync(fd)) err(1, "fsync of the file");
  close(fd);
  if (!sync_folder) return;
  char part[80];
  snprintf(part, sizeof part, "%s.part", name);
  if (renameat(folder_fd, part, folder_fd, name)) err(1, "rename");
  if (fsync(folder_fd)) err(1, "fsync of the folder");
}

static void serve(int peer, int folder_fd, int sync_folder) {
  static const unsigned char message_id_tag[] = {0, 0, 0x10, 1, 2, 0, 0, 0};
  static const unsigned char release_rp[] = {6, 0, 0, 0, 0, 4, 0, 0, 0, 0};
  char name[64], opened[80];
  int fd = -1;
  unsigned number = 0;
  uint32_t length;
  if (!read_pdu(peer)) return;
  write_all(peer, accept_pdu, (size_t)accept_length);
  while ((length = read_pdu(peer))) {
    if (pdu[0] == RELEASE_RQ) write_all(peer, release_rp, sizeof release_rp);
    if (pdu[0] != P_DATA) return;
    unsigned char *content = pdu + PDU_HEADER + PDV_HEADER, control = content[-1];
    if (control & COMMAND) {
      unsigned char *tag = memmem(content, length - PDV_HEADER, message_id_tag, sizeof message_id_tag);
      if (!tag) errx(1, "a command without a message ID");
      memcpy(answer + MESSAGE_ID, tag + sizeof message_id_tag, 2);
      answer[CONTEXT_ID] = content[-2];
      snprintf(name, sizeof name, "%d-%u.dcm", (int)getpid(), number++);
      snprintf(opened, sizeof opened, "%s%s", name, sync_folder ? ".part" : "");
      fd = openat(folder_fd, opened, O_WRONLY | O_CREAT | O_EXCL, 0600);
      if (fd < 0) err(1, "open");
      continue;
    }
    write_all(fd, content, length - PDV_HEADER);
    if (control & LAST) {
      finish(fd, folder_fd, name, sync_folder);
      write_all(peer, answer, sizeof answer);
    }
  }
}

static int listen_on(int port) {
  int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listening, (struct sockaddr *)&here, sizeof here) || listen(listening, 64)) err(1, "port %d", port);
  return listening;
}

int main(int count, char **words) {
  if (count != 5) errx(2, "usage: %s PORT FOLDER file|file-and-folder ACCEPT", words[0]);
  int accept_fd = open(words[4], O_RDONLY), folder_fd = open(words[2], O_RDONLY | O_DIRECTORY), on = 1;
  if (accept_fd < 0 || folder_fd < 0) err(1, "%s or %s", words[4], words[2]);
  accept_length = read(accept_fd, accept_pdu, sizeof accept_pdu);
  if (accept_length <= 0) err(1, "%s", words[4]);
  int sync_folder = !strcmp(words[3], "file-and-folder"), listening = listen_on(atoi(words[1]));
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int peer = accept(listening, NULL, NULL);
    if (peer < 0) continue;
    if (fork() == 0) {
      setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      serve(peer, folder_fd, sync_folder);
      _exit(0);
    }
    close(peer);
  }
}
