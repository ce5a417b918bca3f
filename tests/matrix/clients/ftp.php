<?php
// PHP's own FTP functions, in one session. They ask for ports with PASV alone.

set_error_handler(fn($level, $text) => throw new ErrorException($text, 0, $level));

function say(array $report): void {
    fwrite(STDOUT, json_encode($report, JSON_UNESCAPED_UNICODE) . "\n");
}

function step(string $action, callable $what): void {
    try {
        $names = $what();
        say($names === false ? ['action' => $action, 'failed' => 'false'] : ['action' => $action, 'names' => is_array($names) ? $names : []]);
    } catch (Throwable $error) {
        say(['action' => $action, 'failed' => $error->getMessage()]);
    }
}

function names_in(string $directory): array {
    return array_values(array_diff(scandir($directory), ['.', '..']));
}

$ftp = ftp_ssl_connect('localhost', (int) getenv('FTPS_PORT'), 20);
ftp_login($ftp, getenv('FTPS_USER'), getenv('FTPS_PASSWORD'));
ftp_pasv($ftp, true);

step('list', fn() => ftp_nlist($ftp, 'listed'));
step('upload', fn() => ftp_put($ftp, 'up', 'up', FTP_BINARY));
step('upload-empty', fn() => ftp_put($ftp, 'empty', 'empty', FTP_BINARY));
step('download', fn() => ftp_get($ftp, 'down', 'down', FTP_BINARY));
step('resume-upload', fn() => ftp_put($ftp, 'part-up', 'part-up', FTP_BINARY, FTP_AUTORESUME));
step('resume-download', fn() => ftp_get($ftp, 'part-down', 'part-down', FTP_BINARY, FTP_AUTORESUME));
step('rename', fn() => ftp_rename($ftp, 'old', 'new'));
step('delete', fn() => ftp_delete($ftp, 'gone'));
step('names', function () use ($ftp) {
    foreach (names_in('names') as $name) {
        ftp_put($ftp, "names/$name", "names/$name", FTP_BINARY);
        ftp_get($ftp, "back-names/$name", "names/$name", FTP_BINARY);
    }
});
step('upload-200', function () use ($ftp) {
    foreach (names_in('many') as $name) {
        ftp_put($ftp, "many/$name", "many/$name", FTP_BINARY);
    }
});
step('download-200', function () use ($ftp) {
    foreach (names_in('many') as $name) {
        ftp_get($ftp, "back-many/$name", "store/$name", FTP_BINARY);
    }
});
ftp_close($ftp);
