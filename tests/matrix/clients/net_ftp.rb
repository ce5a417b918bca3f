# Ruby's Net::FTP, in one session.
require 'json'
require 'net/ftp'

$stdout.sync = true
Encoding.default_external = Encoding::UTF_8
versions = { '1.2' => OpenSSL::SSL::TLS1_2_VERSION, '1.3' => OpenSSL::SSL::TLS1_3_VERSION }
held = ENV['FTPS_TLS'] ? %i[min_version max_version].to_h { |bound| [bound, versions.fetch(ENV['FTPS_TLS'])] } : {}
FTP = Net::FTP.new(
  'localhost',
  port: Integer(ENV['FTPS_PORT']), username: ENV['FTPS_USER'], password: ENV['FTPS_PASSWORD'],
  open_timeout: 20, read_timeout: 20,
  ssl: { ca_file: ENV['FTPS_AUTHORITY'], **held }
)

def step(action)
  names = yield
  puts JSON.generate(action: action, names: names.is_a?(Array) ? names : [])
rescue StandardError => error
  puts JSON.generate(action: action, failed: "#{error.class}: #{error.message}")
end

def resuming
  FTP.resume = true
  yield
ensure
  FTP.resume = false
end

NAMES = Dir.children('names').sort
MANY = Dir.children('many').sort

step('list') { FTP.nlst('listed') }
step('upload') { FTP.putbinaryfile('up', 'up') }
step('upload-empty') { FTP.putbinaryfile('empty', 'empty') }
step('download') { FTP.getbinaryfile('down', 'down') }
step('resume-upload') { resuming { FTP.putbinaryfile('part-up', 'part-up') } }
step('resume-download') { resuming { FTP.getbinaryfile('part-down', 'part-down') } }
step('rename') { FTP.rename('old', 'new') }
step('delete') { FTP.delete('gone') }
step('names') do
  NAMES.each do |name|
    FTP.putbinaryfile("names/#{name}", "names/#{name}")
    FTP.getbinaryfile("names/#{name}", "back-names/#{name}")
  end
  nil
end
step('upload-200') { MANY.each { |name| FTP.putbinaryfile("many/#{name}", "many/#{name}") } && nil }
step('download-200') { MANY.each { |name| FTP.getbinaryfile("store/#{name}", "back-many/#{name}") } && nil }
FTP.quit
