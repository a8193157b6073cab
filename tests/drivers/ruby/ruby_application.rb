# Ruby, the pg gem.
require "json"
require "pg"

COPY_OUT = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT"
$stdout.sync = true

class RubyApplication
  def version = { version: "ruby-pg #{PG::VERSION}" }

  def connect
    @connection&.finish unless @connection&.finished?
    @connection = nil
    @connection = PG.connect
  end

  def begin = @connection.exec("BEGIN")

  def query = @connection.exec("SELECT 1")

  def hold = @connection.exec("SELECT pg_sleep(3600)")

  def copy_out
    @copying_out = true
    @connection.exec(COPY_OUT)
    @connection.get_copy_data
  end

  def copy_in
    @copying_out = false
    @connection.exec("COPY copied FROM STDIN")
    @connection.put_copy_data("a line\n")
  end

  def finish
    if @copying_out
      nil while @connection.get_copy_data
    else
      @connection.put_copy_end
    end
    while (result = @connection.get_result)
      result.check
    end
  end

  def describe(error)
    field = ->(code) { error.respond_to?(:result) && error.result&.error_field(code) }
    { ok: false, class: error.class.name, message: error.message,
      sqlstate: field.call(PG::PG_DIAG_SQLSTATE) || "", detail: field.call(PG::PG_DIAG_MESSAGE_DETAIL) || "",
      hint: field.call(PG::PG_DIAG_MESSAGE_HINT) || "", broken: broken? }
  end

  def broken? = @connection.nil? || @connection.status == PG::CONNECTION_BAD
end

COMMANDS = %w[version connect begin query hold copy_out copy_in finish].freeze
application = RubyApplication.new
while (command = $stdin.gets&.chomp)
  answer = { unsupported: true }
  if COMMANDS.include?(command)
    begin
      more = application.public_send(command)
      answer = { ok: true }.merge(more.is_a?(Hash) ? more : {})
    rescue PG::Error => error
      answer = application.describe(error)
    end
  end
  puts JSON.generate(answer)
end
