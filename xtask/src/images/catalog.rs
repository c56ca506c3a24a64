//! Which images there are: what is in them and the names manifests call them by. Data only.
//!
//! nginx, git and PostgreSQL are Debian's, whatever version a name says: the name is what a
//! manifest asks for. Debian has no fluentd, and `my-app` and its like exist only in documents:
//! those are small scripts that do what the documents say of them.

#[derive(Debug)]
pub struct Recipe {
    /// Name of the archive.
    pub file: &'static str,
    /// Each becomes an image of its own, with the same layer.
    pub names: &'static [&'static str],
    pub packages: &'static [&'static str],
    pub extras: &'static [Extra],
    pub entrypoint: &'static [&'static str],
    pub cmd: &'static [&'static str],
    pub env: &'static [&'static str],
    /// `port/tcp`.
    pub ports: &'static [&'static str],
    pub stop_signal: &'static str,
}

/// Paths are relative to the image's root.
#[derive(Debug)]
pub enum Extra {
    File(&'static str, &'static str),
    Script(&'static str, &'static str),
    /// With its owner, user and group alike.
    Dir(&'static str, u32),
    /// And what it points to.
    Link(&'static str, &'static str),
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const BUSYBOX: Recipe = Recipe {
    file: "busybox",
    names: &["busybox:latest", "busybox:1.28", "busybox:1.34", "busybox:1.36"],
    packages: &["busybox-static"],
    extras: &[],
    entrypoint: &[],
    cmd: &["sh"],
    env: &[PATH],
    ports: &[],
    stop_signal: "",
};

pub const RECIPES: &[Recipe] = &[
    BUSYBOX,
    Recipe {
        file: "nginx",
        names: &["nginx:latest", "nginx:1.14.2", "nginx:1.16.1", "nginx:1.21", "nginx:1.25"],
        packages: &["nginx", "bash", "dash", "coreutils", "curl", "grep", "sed", "hostname", "procps"],
        extras: &[
            Extra::Link("bin/sh", "dash"),
            Extra::File("etc/nginx/nginx.conf", NGINX_CONF),
            Extra::File("etc/nginx/conf.d/default.conf", NGINX_DEFAULT),
            Extra::Link("var/log/nginx/access.log", "/dev/stdout"),
            Extra::Link("var/log/nginx/error.log", "/dev/stderr"),
            Extra::Dir("var/cache/nginx", 0),
        ],
        cmd: &["nginx", "-g", "daemon off;"],
        ports: &["80/tcp"],
        stop_signal: "SIGQUIT",
        ..BUSYBOX
    },
    Recipe {
        file: "git",
        names: &["alpine/git:latest"],
        packages: &["git", "busybox-static", "ca-certificates"],
        extras: &[Extra::Dir("git", 0)],
        entrypoint: &["git"],
        cmd: &["--help"],
        ..BUSYBOX
    },
    Recipe {
        file: "postgres",
        names: &["postgres:latest", "postgres:14", "postgres:15"],
        packages: &["postgresql-15", "bash", "dash", "coreutils", "util-linux", "grep", "sed", "tzdata"],
        extras: &[
            Extra::Link("bin/sh", "dash"),
            Extra::Script("usr/local/bin/docker-entrypoint.sh", POSTGRES_ENTRYPOINT),
            Extra::Dir("var/run/postgresql", 999),
            Extra::Dir("var/lib/postgresql", 999),
            Extra::Dir("var/lib/postgresql/data", 999),
        ],
        entrypoint: &["docker-entrypoint.sh"],
        cmd: &["postgres"],
        env: &[
            // Before /usr/bin, where Debian's wrappers are, which want Perl.
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PGDATA=/var/lib/postgresql/data",
        ],
        ports: &["5432/tcp"],
        stop_signal: "SIGINT",
    },
    Recipe {
        file: "fluentd",
        names: &["fluentd:latest"],
        extras: &[Extra::Script("ship-logs", SHIP_LOGS)],
        cmd: &["/ship-logs"],
        ..BUSYBOX
    },
    Recipe {
        file: "my-app",
        names: &["my-app:1.0", "my-app:latest"],
        extras: &[
            Extra::Script("app", MY_APP),
            Extra::File("www/index.html", "my-app\n"),
            Extra::File("www/healthz", "ok\n"),
            Extra::File("www/ready", "ok\n"),
            Extra::File("www/startup", "ok\n"),
        ],
        cmd: &["/app"],
        ports: &["8080/tcp"],
        ..BUSYBOX
    },
    Recipe {
        file: "old-app",
        names: &["old-app:1.0"],
        extras: &[Extra::Script("app", OLD_APP)],
        cmd: &["/app"],
        ..BUSYBOX
    },
    Recipe {
        file: "metrics-adapter",
        names: &["metrics-adapter:latest"],
        extras: &[Extra::Script("adapter", METRICS_ADAPTER), Extra::Script("answer", METRICS_ANSWER)],
        cmd: &["/adapter"],
        ports: &["9090/tcp"],
        ..BUSYBOX
    },
    Recipe {
        file: "postgres-proxy",
        names: &["postgres-proxy:latest"],
        extras: &[Extra::Script("proxy", POSTGRES_PROXY)],
        cmd: &["/proxy"],
        ports: &["5432/tcp"],
        ..BUSYBOX
    },
];

const NGINX_CONF: &str = "\
user www-data;
worker_processes auto;
error_log /var/log/nginx/error.log notice;
pid /run/nginx.pid;

events {
    worker_connections 1024;
}

http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    log_format main '$remote_addr - $remote_user [$time_local] \"$request\" '
                    '$status $body_bytes_sent \"$http_referer\" '
                    '\"$http_user_agent\" \"$http_x_forwarded_for\"';
    access_log /var/log/nginx/access.log main;
    sendfile on;
    keepalive_timeout 65;
    include /etc/nginx/conf.d/*.conf;
}
";

const NGINX_DEFAULT: &str = "\
server {
    listen 80;
    server_name localhost;

    location / {
        root /usr/share/nginx/html;
        index index.html index.htm;
    }
}
";

/// Makes the database at first start; then the server, as its own user.
const POSTGRES_ENTRYPOINT: &str = r#"#!/bin/bash
set -eu
if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    chown -R postgres:postgres "$PGDATA"
    exec setpriv --reuid=999 --regid=999 --clear-groups "$0" "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        echo "Error: Database is uninitialized and superuser password is not specified." >&2
        echo "       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser." >&2
        exit 1
    fi
    user=${POSTGRES_USER:-postgres}
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -n "${POSTGRES_PASSWORD:-}" ]; then
        initdb --username="$user" --encoding=UTF8 --locale=C --auth-local=trust --auth-host=scram-sha-256 \
            --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD")
    else
        initdb --username="$user" --encoding=UTF8 --locale=C --auth=trust
    fi
    echo "host all all all $method" >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    database=${POSTGRES_DB:-$user}
    if [ "$database" != postgres ]; then
        printf 'CREATE DATABASE "%s"\n' "$database" | postgres --single -j postgres > /dev/null
    fi
    echo "PostgreSQL init process complete; ready for start up."
fi
exec "$@"
"#;

const SHIP_LOGS: &str = "\
#!/bin/sh
# Prints what is written to the log files of a shared volume.
trap 'exit 0' TERM INT
tail -n +1 -F /var/log/nginx/access.log /var/log/nginx/error.log &
wait
";

const MY_APP: &str = "\
#!/bin/sh
# Serves /www on port 8080. Removing /www/healthz or /www/ready makes a probe fail.
trap 'exit 0' TERM INT
echo \"my-app is listening on port 8080\"
httpd -f -p 8080 -h /www &
wait
";

const OLD_APP: &str = "\
#!/bin/sh
# Writes its metrics in a format of its own.
trap 'exit 0' TERM INT
mkdir -p /var/metrics
count=0
while true; do
    count=$((count + 1))
    echo \"requests=$count\" > /var/metrics/app.metrics.new
    mv /var/metrics/app.metrics.new /var/metrics/app.metrics
    sleep 1 &
    wait $!
done
";

const METRICS_ADAPTER: &str = "\
#!/bin/sh
# Answers on port 9090 with the metrics of /var/metrics in Prometheus's format.
trap 'exit 0' TERM INT
nc -ll -p 9090 -e /answer &
wait
";

const METRICS_ANSWER: &str = "\
#!/bin/sh
read -r request
printf 'HTTP/1.0 200 OK\\r\\nContent-Type: text/plain; version=0.0.4\\r\\n\\r\\n'
cat /var/metrics/*.metrics 2>/dev/null | sed 's/^\\([a-z_]*\\)=/app_\\1 /'
";

const POSTGRES_PROXY: &str = "\
#!/bin/sh
# Passes connections on port 5432 to the database that the environment names.
trap 'exit 0' TERM INT
nc -ll -p 5432 -e nc \"$REAL_DB_HOST\" \"${REAL_DB_PORT:-5432}\" &
wait
";
